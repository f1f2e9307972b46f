"""Seals what must be kept and not be read where it is kept: AES-256-GCM by a key of the gateways."""

import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from servicekit.errors import FailedPrecondition

NONCE_BYTES = 12


class Sealer:
    """Seals with the first of its secrets, opens with any of them, so that one can be replaced."""

    def __init__(self, kept: Sequence[bytes]) -> None:
        self._ciphers = [AESGCM(_key(secret)) for secret in kept]

    def seal(self, data: bytes, place: str) -> bytes:
        """Return the data sealed; it can be opened for this place alone."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, data, place.encode())

    def unseal(self, sealed: bytes, place: str) -> bytes:
        """Return what `seal` was given. Raises FailedPrecondition where the secret is another one now."""
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode())
            except InvalidTag:
                continue
        text = "The credentials were kept under another CREDENTIALS_SECRET; add the destination again."
        raise FailedPrecondition(text, reason="DESTINATION_SEALED")


def _key(secret: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"api-gpu: kept credentials").derive(secret)
