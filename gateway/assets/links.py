"""Signed, expiring links: a link gives access to one path until it expires, without an API key. And sealed texts, which
callers hand back as they got them."""

import hashlib
import hmac
import re
import secrets
import time
from base64 import b64decode, urlsafe_b64encode
from urllib.parse import parse_qs, quote

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.assets.record import ID, clean_filename
from servicekit.config import ConfigError
from servicekit.errors import PermissionDenied

MIN_SECRET_BYTES = 16
NONCE_BYTES = 12
# Fields of a query that may be a link's.
MAX_FIELDS = 10
_FILE = re.compile(rf"/files/({ID.pattern})/[^/]+\Z")


class LinkSigner:
    """Sign and verify links. Gateways that share the secret accept each other's links."""

    def __init__(self, secret: bytes, ttl_seconds: float) -> None:
        """Sign with `secret`; links to files open for `ttl_seconds`, or until the file is gone. Raises ConfigError."""
        if len(secret) < MIN_SECRET_BYTES:
            raise ConfigError(f"the secret that signs links needs {MIN_SECRET_BYTES} bytes or more, not {len(secret)}")
        self._secret = secret
        self._cipher = AESGCM(hmac.new(secret, b"sealed texts", hashlib.sha256).digest())
        self._ttl_seconds = ttl_seconds

    def sign_file(self, asset_id: str, filename: str, expires: int | None = None) -> str:
        """Return "/files/<id>/<filename>?expires=<unix seconds>&signature=<hex>"; it expires as others do, or as said.

        The filename, or the id where there is none, is for people and players; the signature covers id and expiry.
        """
        last = quote(clean_filename(filename) or asset_id, safe="")
        return f"/files/{asset_id}/{last}?{self._proof(asset_id, expires or self._usual_expiry())}"

    def sign_preview(self, job_id: str) -> str:
        """Return "/job/<id>/preview.m3u8?expires=<unix seconds>&signature=<hex>"."""
        return f"{_preview(job_id)}.m3u8?{self._proof(_preview(job_id), self._usual_expiry())}"

    def verify_preview(self, job_id: str, expires: str, signature: str) -> None:
        """Verify a link of `sign_preview`. Raises PermissionDenied."""
        self.verify(_preview(job_id), expires, signature)

    def sign(self, path: str, seconds: float) -> str:
        """Return `path` with an expiry in `seconds` and a signature over both."""
        return f"{path}?{self._proof(path, time.time() + seconds)}"

    def verify(self, subject: str, expires: str, signature: str) -> None:
        """Verify a link to `subject`: an asset's id, or a path given to `sign`. Raises PermissionDenied."""
        expected = self._signature(subject, expires)
        if not hmac.compare_digest(expected.encode(), signature.encode(errors="replace")):
            raise PermissionDenied(
                "This link is not one that the gateway made, or it was changed; use it exactly as it was answered.",
                reason="LINK_FORGED",
            )
        if int(expires) <= time.time():
            raise PermissionDenied(
                "This link has expired; ask for the job or the asset again to get a new one.", reason="LINK_EXPIRED"
            )

    def seal(self, text: str, purpose: str) -> str:
        """Return a token that tells nobody what it has, and that only `unseal` with the same purpose opens; it never
        expires."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, text.encode(), purpose.encode())
        return urlsafe_b64encode(sealed).decode().rstrip("=")

    def unseal(self, sealed: str, purpose: str) -> str | None:
        """Return the text that `seal` was given; None for what it did not make."""
        try:
            data = b64decode(sealed + "=" * (-len(sealed) % 4), altchars=b"-_", validate=True)
            return self._cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], purpose.encode()).decode()
        except (ValueError, InvalidTag):
            return None

    def pseudonym(self, text: str) -> str:
        """Return six characters that stand for a text that is not told: always the same, at all gateways that share the
        secret."""
        return hmac.new(self._secret, f"pseudonym\n{text}".encode(), hashlib.sha256).hexdigest()[:6]

    def asset_id(self, path: str, query: str) -> str | None:
        """Return the asset that a link of `sign_file` opens, whatever its host and what is before "/files"; None for a
        link that no gateway with this secret made. Raises PermissionDenied for one that has expired."""
        found = _FILE.search(path)
        given = parse_qs(query, max_num_fields=MAX_FIELDS) if found and query.count("&") < MAX_FIELDS else {}
        if found is None or not {"expires", "signature"} <= given.keys():
            return None
        try:
            self.verify(found[1], given["expires"][0], given["signature"][0])
        except PermissionDenied as error:
            if error.reason == "LINK_FORGED":
                return None
            raise
        return found[1]

    def _usual_expiry(self) -> int:
        """Return when a link expires that is made now."""
        # Links made within a hundredth of their life are equal, so that answers with links can be compared.
        step = max(1, int(self._ttl_seconds / 100))
        return int((time.time() + self._ttl_seconds) // step * step)

    def _proof(self, subject: str, expires: float) -> str:
        text = str(int(expires))
        return f"expires={text}&signature={self._signature(subject, text)}"

    def _signature(self, subject: str, expires: str) -> str:
        message = f"{subject}\n{expires}".encode(errors="replace")
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()


def _preview(job_id: str) -> str:
    """Return what the link to a preview is signed for: the start of its path."""
    return f"/job/{job_id}/preview"
