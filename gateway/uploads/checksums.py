"""Checksums of the bytes of one request, as the header Upload-Checksum of tus has them."""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any

from servicekit.errors import InvalidArgument

ALGORITHMS = ("md5", "sha1", "sha256")


@dataclass(frozen=True)
class PartChecksum:
    """The digest that some bytes must have."""

    algorithm: str
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> "PartChecksum | None":
        """Return the checksum in "sha1 <base64>"; None for "". Raises InvalidArgument for what is none."""
        if not text:
            return None
        algorithm, _, encoded = text.strip().partition(" ")
        try:
            digest = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            digest = b""
        if algorithm not in ALGORITHMS or len(digest) != _new(algorithm).digest_size:
            known = ", ".join(ALGORITHMS)
            raise InvalidArgument(f"Upload-Checksum is one of {known}, a blank, and base64.", reason="BAD_DIGEST")
        return cls(algorithm, digest)

    def hasher(self) -> Any:
        """Return what digests the bytes."""
        return _new(self.algorithm)

    def verify(self, hasher: Any) -> None:
        """Raise InvalidArgument for bytes with another digest."""
        if hasher.digest() != self.digest:
            text = "The bytes are not those of their checksum; none of them was kept. Send them again."
            raise InvalidArgument(text, reason="CHECKSUM_MISMATCH")


def _new(algorithm: str) -> Any:
    return hashlib.new(algorithm, usedforsecurity=False)
