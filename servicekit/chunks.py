"""Framing of files on a stream: the size of chunks, and the size and digest that prove a file complete.

The end of a gRPC stream proves nothing: a client that is killed can look like one that finished.
"""

import contextlib
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from servicekit.errors import DataLoss

# Initial metadata of a call that takes a file: the file will be accepted, send it. A client that waits for it sees a
# refusal for certain and sends nothing in vain: gRPC reports INTERNAL to one whose write fails, whatever the status.
ACCEPTED = "x-accepted"
# The same of an encoder that takes inputs which come with their task: they are not to be sent again.
SMALL_INPUTS = "x-small-inputs"
# Metadata of both sides: the encoder may ask for more of an input of which the beginning came, and the gateway sends
# it. An encoder of an earlier version would take what is not there for the film.
ASKS_RANGES = "x-asks-ranges"
# So often a task may ask, and so much of the beginning of an input comes before it does.
MAX_ASKS, HEAD_BYTES = 2, 1024 * 1024
# So many bytes of inputs come with their task at the most.
MAX_SMALL_BYTES = 256 * 1024
# To have so few bytes written or digested by another thread takes longer than to do it.
LEAST_BESIDE_BYTES = 64 * 1024
# Media type of a result that a worker puts for the further tasks in its summary: without that it is of no use.
BESIDE_FURTHER = "application/vnd.api-gpu.beside-further"
# Header of a response to a worker: the body leaves these stretches of the file out.
HOLE = "x-hole"
# Larger ones take fewer turns of Python, and as much more for pages of memory that are new each time.
CHUNK_BYTES = 512 * 1024
# Bytes of a chunk: a part of a message that came is not copied out of it.
Data = bytes | memoryview
MAX_MESSAGE_BYTES = 4 * 1024 * 1024


class Checksum:
    """Size and SHA-256 of one file, computed while its bytes pass."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._digest = hashlib.sha256()

    def add(self, data: Data) -> None:
        """Count and digest the next bytes."""
        self.size_bytes += len(data)
        self._digest.update(data)

    def copy(self) -> "Checksum":
        """Return one of the same bytes, which goes its own way from here."""
        other = Checksum()
        other.size_bytes, other._digest = self.size_bytes, self._digest.copy()
        return other

    @property
    def sha256(self) -> str:
        """Return the SHA-256 so far, lower-case hexadecimal."""
        return self._digest.hexdigest()

    def verify(self, what: str, *, size_bytes: int | None, sha256: str) -> None:
        """Compare the bytes with the size and digest announced; None or "" announces nothing.

        Raises DataLoss, whose text begins with `what`, when they differ.
        """
        if size_bytes is not None:
            check_size(what, self.size_bytes, size_bytes)
        if sha256 and sha256.lower() != self.sha256:
            raise DataLoss(
                f"{what}: the SHA-256 announced is {sha256.lower()}, that of the bytes {self.sha256}; send it again.",
                reason="DIGEST_MISMATCH",
            )


def check_size(what: str, came_bytes: int, announced_bytes: int) -> None:
    """Raise DataLoss, whose text begins with `what`, when they differ."""
    if came_bytes != announced_bytes:
        text = f"{what}: {announced_bytes} bytes were announced and {came_bytes} came; send it again."
        raise DataLoss(text, reason="SIZE_MISMATCH")


class ChecksumBeside:
    """A Checksum whose bytes are digested on a thread of its own, while whoever adds them does something else with
    them. Close it when done."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._checksum = Checksum()
        self._thread = ThreadPoolExecutor(1, "digest")
        self._last: Future[None] | None = None
        self._is_closed = False

    def add(self, data: Data) -> None:
        """Count the next bytes and begin to digest them, once those before are: no more than these are held. A few are
        digested at once."""
        self.size_bytes += len(data)
        self._wait()
        if len(data) <= LEAST_BESIDE_BYTES and not self._is_closed:
            self._checksum.add(data)
            return
        with contextlib.suppress(RuntimeError):  # it was closed meanwhile: nobody will ask
            self._last = self._thread.submit(self._checksum.add, data)

    def whole(self) -> Checksum:
        """Return the checksum of all that was added."""
        self._wait()
        return self._checksum

    def close(self) -> None:
        """Digest no more."""
        self._is_closed = True
        self._thread.shutdown(wait=False)

    def _wait(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            last.result()


class Hole(NamedTuple):
    """A stretch of a file that is left out: the bytes from `start` on, before `end`."""

    start: int
    end: int

    @property
    def size_bytes(self) -> int:
        """Bytes left out."""
        return self.end - self.start

    def __str__(self) -> str:
        """Return the hole as the header HOLE has it, several with commas between."""
        return f"{self.start}-{self.end}"


def parse_holes(text: str) -> tuple[Hole, ...]:
    """Return the holes that a header tells of, in their order; none for "". Raises DataLoss for what tells of none."""
    found: list[Hole] = []
    for one in text.split(",") if text else ():
        start, _, end = one.partition("-")
        is_number = one.isascii() and start.isdecimal() and end.isdecimal()
        if not is_number or not (found[-1].end if found else 0) <= int(start) <= int(end):
            raise DataLoss("The link tells of a hole in the file that cannot be one.", reason="BAD_HEADER")
        found.append(Hole(int(start), int(end)))
    return tuple(found)


class ChunkPlacement:
    """Tells where the chunks of a file belong that come one after the other, around its holes."""

    def __init__(self, holes: Sequence[Hole]) -> None:
        self._holes = deque(holes)
        self._offset = 0

    def place(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the parts of the next chunk, each with its offset in the file: more than one where a hole is in its
        midst."""
        while data:
            self._pass_hole()
            most_bytes = self._holes[0].start - self._offset if self._holes else len(data)
            part, data = data[:most_bytes], data[most_bytes:]
            yield self._offset, part
            self._offset += len(part)

    def finish(self) -> Iterator[tuple[int, bytes]]:
        """Yield nothing at the end of a file that ends in a hole: where it ends, and no bytes."""
        if self._holes:
            self._pass_hole()
            yield self._offset, b""

    def _pass_hole(self) -> None:
        while self._holes and self._offset == self._holes[0].start:
            self._offset = self._holes.popleft().end


async def rechunk(source: AsyncIterator[bytes], size: int = CHUNK_BYTES) -> AsyncIterator[bytes]:
    """Yield the same bytes in chunks of exactly `size`, except the last one; each byte is copied at most twice."""
    pending: list[bytes] = []
    pending_bytes = 0
    async for data in source:
        pending.append(data)
        pending_bytes += len(data)
        if pending_bytes < size:
            continue
        joined = b"".join(pending)
        full_bytes = pending_bytes - pending_bytes % size
        for start in range(0, full_bytes, size):
            yield joined[start : start + size]
        pending, pending_bytes = [joined[full_bytes:]], pending_bytes - full_bytes
        del joined  # which would be held while the next bytes come
    if pending_bytes:
        yield b"".join(pending)
