"""Signed, expiring links: whoever has one may read that one file until then, and needs no key."""

import hashlib
import hmac
import time
from urllib.parse import quote

from gateway.assets.names import clean_filename
from servicekit.config import ConfigError
from servicekit.errors import PermissionDenied

MIN_SECRET_BYTES = 16


class Links:
    """Makes and checks links. Gateways that share the secret take each other's links."""

    def __init__(self, secret: bytes, ttl_seconds: float) -> None:
        """`ttl_seconds`: how long a link opens; it also ends with its file. Raises ConfigError."""
        if len(secret) < MIN_SECRET_BYTES:
            raise ConfigError(f"the secret that signs links needs {MIN_SECRET_BYTES} bytes or more, not {len(secret)}")
        self._secret = secret
        self._ttl_seconds = ttl_seconds

    def path(self, asset_id: str, filename: str) -> str:
        """ "/files/<id>/<filename>?expires=<unix seconds>&signature=<hex>".

        The name in it, the id where there is none, is for people and players only; the signature covers id and expiry.
        """
        shown = quote(clean_filename(filename) or asset_id, safe="")
        expires = str(int(time.time() + self._ttl_seconds))
        signature = self._signature(asset_id, expires)
        return f"/files/{asset_id}/{shown}?expires={expires}&signature={signature}"

    def signed(self, path: str, seconds: float) -> str:
        """`path` with an expiry in `seconds` and a signature over both; `verify` takes the path in place of an id."""
        expires = str(int(time.time() + seconds))
        return f"{path}?expires={expires}&signature={self._signature(path, expires)}"

    def verify(self, asset_id: str, expires: str, signature: str) -> None:
        """Hold a link's parts against its signature and the clock. Raises PermissionDenied."""
        expected = self._signature(asset_id, expires)
        if not hmac.compare_digest(expected.encode(), signature.encode(errors="replace")):
            raise PermissionDenied(
                "This link is not one that the gateway made, or it was changed; use it exactly as it was answered.",
                reason="LINK_FORGED",
            )
        if int(expires) <= time.time():
            raise PermissionDenied(
                "This link has expired; ask for the job or the asset again to get a new one.", reason="LINK_EXPIRED"
            )

    def _signature(self, asset_id: str, expires: str) -> str:
        message = f"{asset_id}\n{expires}".encode(errors="replace")
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()
