"""Sources that are open, wherever they lie."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from servicekit.chunks import Hole

Chunks = Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True)
class Source:
    """An open source, whose bytes can be read once: its filename, without folders, may be empty; its size is None where
    it is not known beforehand; `charset` is what its server, or who uploaded it, calls its encoding. `chunks` yields
    the bytes in chunks of CHUNK_BYTES, except the last one, and raises ServiceError if they end too early; of an
    outline or of ranges (see outline.py) it leaves out `holes`. `part` opens the bytes from one offset to another,
    where there is a way to. `version` is what its server tells of which one of several files it is (see versions.py),
    "" of one that cannot change."""

    filename: str
    size_bytes: int | None
    chunks: Chunks
    charset: str = ""
    holes: tuple[Hole, ...] = ()
    part: Callable[[int, int], AbstractAsyncContextManager[Chunks | None]] | None = None
    version: str = ""

    @property
    def sent_bytes(self) -> int | None:
        """The bytes that `chunks` yields; None where that is not known beforehand."""
        if self.size_bytes is None:
            return None
        return self.size_bytes - sum(hole.size_bytes for hole in self.holes)
