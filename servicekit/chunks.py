"""Framing of files on a stream: sizes of chunks, and the count and digest that prove a file whole.

The end of a gRPC stream does not prove it: a client that is killed can look like one that finished.
"""

import hashlib
from collections.abc import AsyncIterator

from servicekit.errors import DataLoss

# Initial metadata of a call that takes a file: it will be taken, send it. One who waits for it is told of a refusal for
# certain, and sends nothing in vain: gRPC tells a caller whose write fails INTERNAL, whatever the status was.
ACCEPTED = "x-accepted"
CHUNK_BYTES = 512 * 1024
MAX_MESSAGE_BYTES = 4 * 1024 * 1024


class Checksum:
    """Counts and digests the bytes of one file as they pass."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._digest = hashlib.sha256()

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        self.size_bytes += len(data)
        self._digest.update(data)

    @property
    def sha256(self) -> str:
        """SHA-256 so far, lower-case hexadecimal."""
        return self._digest.hexdigest()

    def verify(self, what: str, *, size_bytes: int | None, sha256: str) -> None:
        """Hold the bytes against what was announced; None or "" announces nothing.

        Raises DataLoss, naming `what`, when they differ.
        """
        if size_bytes is not None and size_bytes != self.size_bytes:
            raise DataLoss(
                f"{what}: {size_bytes} bytes were announced and {self.size_bytes} came; send it again.",
                reason="SIZE_MISMATCH",
            )
        if sha256 and sha256.lower() != self.sha256:
            raise DataLoss(
                f"{what}: the SHA-256 announced is {sha256.lower()}, that of the bytes {self.sha256}; send it again.",
                reason="DIGEST_MISMATCH",
            )


async def rechunk(source: AsyncIterator[bytes], size: int = CHUNK_BYTES) -> AsyncIterator[bytes]:
    """The same bytes in chunks of exactly `size`, the last one excepted; each byte is copied twice at most."""
    held: list[bytes] = []
    held_bytes = 0
    async for data in source:
        held.append(data)
        held_bytes += len(data)
        if held_bytes < size:
            continue
        whole = b"".join(held)
        cut = held_bytes - held_bytes % size
        for start in range(0, cut, size):
            yield whole[start : start + size]
        held, held_bytes = [whole[cut:]], held_bytes - cut
    if held_bytes:
        yield b"".join(held)
