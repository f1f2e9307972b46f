"""Parts of large files, with holes between. Outlines, a head and a tail, have what tells formats and durations, so that
planning with a film costs some MiB, and not the film; ranges are what one of many tasks needs of it."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from gateway.sources import versions
from gateway.sources.opened import Chunks, Source
from servicekit.chunks import HEAD_BYTES, ChunkPlacement, Hole
from servicekit.disk import MIB
from servicekit.errors import FailedPrecondition, Unavailable

# Of MP4, the index stands at either end; it has some bytes for each frame.
TAIL_BYTES = 4 * MIB
# Of longer files the index is longer: such a share of it, no more than this.
INDEX_SHARE, MAX_END_BYTES = 64, 8 * MIB
# What is smaller comes whole.
MIN_BYTES = 8 * MIB
# What is smaller comes whole to a task that may cut it for others.
MIN_DIVISIBLE_BYTES = 32 * MIB


@dataclass(frozen=True, slots=True)
class ByteRanges:
    """Ranges of a file of `size_bytes`, each its first byte and the one behind its last: in their order, none empty,
    and apart from each other. `version` is that of the file when they were planned, "" where it is not known."""

    size_bytes: int
    ranges: tuple[tuple[int, int], ...]
    version: str = ""

    @property
    def holes(self) -> tuple[Hole, ...]:
        """What the ranges leave out."""
        edges = pairwise((0, *(edge for found in self.ranges for edge in found), self.size_bytes))
        return tuple(Hole(*edge) for edge in list(edges)[::2] if edge[0] < edge[1])

    @property
    def are_valid(self) -> bool:
        """True where they are as they should be."""
        edges = [edge for found in self.ranges for edge in found]
        is_rising = all(one < other for one, other in pairwise(edges))
        return bool(edges) and is_rising and edges[0] >= 0 and edges[-1] <= self.size_bytes

    def joined(self, other: "ByteRanges") -> "ByteRanges":
        """Return them with those of another, as ranges that are apart."""
        found: list[tuple[int, int]] = []
        for start, end in sorted((*self.ranges, *other.ranges)):
            if found and start <= found[-1][1]:
                found[-1] = (found[-1][0], max(found[-1][1], end))
            else:
                found.append((start, end))
        return replace(self, ranges=tuple(found))

    def without(self, others: Sequence[tuple[int, int]]) -> "ByteRanges":
        """Return them less other ranges, which are in their order and not into each other."""
        found: list[tuple[int, int]] = []
        for start, end in self.ranges:
            for first, last in others:
                if start < min(end, first):
                    found.append((start, min(end, first)))
                start = max(start, last)
            if start < end:
                found.append((start, end))
        return replace(self, ranges=tuple(found))


async def outlined(whole: Source, stack: contextlib.AsyncExitStack, min_bytes: int = MIN_BYTES) -> Source:
    """Return an outline of a source that is open, or that itself where it is small, or has no other way than from its
    beginning to its end. The stack closes what is opened for it."""
    size_bytes = whole.size_bytes or 0
    if size_bytes < min_bytes or whole.part is None:
        return whole
    index_bytes = longest_index(whole)
    hole = Hole(max(HEAD_BYTES, index_bytes), size_bytes - max(TAIL_BYTES, index_bytes))
    tail = await stack.enter_async_context(whole.part(hole.end, size_bytes))
    if tail is None:
        return whole
    return replace(whole, chunks=lambda: _ends(whole.chunks, hole.start, tail), holes=(hole,), part=None)


def longest_index(whole: Source) -> int:
    """Return how many bytes the index of a source may have that is at one of its ends."""
    return min((whole.size_bytes or 0) // INDEX_SHARE, MAX_END_BYTES)


def headed(whole: Source, min_bytes: int = MIN_BYTES, head_bytes: int = HEAD_BYTES) -> Source:
    """Return the beginning of a source that is open, HEAD_BYTES at least, or that itself where it is small, or has no
    other way than from its beginning to its end."""
    size_bytes = whole.size_bytes or 0
    if size_bytes < min_bytes or whole.part is None:
        return whole
    hole = Hole(max(HEAD_BYTES, head_bytes), size_bytes)
    return replace(whole, chunks=lambda: _first(whole.chunks, hole.start), holes=(hole,), part=None)


async def ranged(whole: Source, wanted: ByteRanges, stack: contextlib.AsyncExitStack) -> Source:
    """Return ranges of a source that is open; where it has no other way than from its beginning to its end, it is read
    up to the last of them, and what lies between is left out. Raises FailedPrecondition for one of another size or
    version than it had, Unavailable for one that does not tell its size."""
    if whole.size_bytes is None:
        raise Unavailable("its server does not tell its size any more; try again", reason="FETCH_FAILED")
    if whole.size_bytes != wanted.size_bytes or versions.are_different(whole.version, wanted.version):
        text = (
            "it is not the file any more that it was when the job began; submit the job again. Where its server has "
            "another ETag for it each time, upload the file"
        )
        raise FailedPrecondition(text, reason="INPUT_CHANGED")
    opened, has_parts = None, whole.part is not None
    if whole.part is not None and (later := [found for found in wanted.ranges if found[0]]):
        opened = await stack.enter_async_context(whole.part(*later[0]))
        has_parts = opened is not None
    chunks = (lambda: _ranges(whole, wanted, opened)) if has_parts else (lambda: _picked(whole.chunks, wanted))
    return replace(whole, chunks=chunks, holes=wanted.holes, part=None)


async def _ends(head: Chunks, head_bytes: int, tail: Chunks) -> AsyncIterator[bytes]:
    async for data in _first(head, head_bytes):
        yield data
    async for data in tail():
        yield data


async def _ranges(whole: Source, wanted: ByteRanges, opened: Chunks | None) -> AsyncIterator[bytes]:
    """Yield the bytes of ranges; `opened` is the first one that is not at the beginning of the file."""
    for start, end in wanted.ranges:
        async with contextlib.AsyncExitStack() as stack:
            if not start:
                chunks = _first(whole.chunks, end)
            elif opened is not None:
                chunks, opened = opened(), None
            else:
                assert whole.part is not None
                found = await stack.enter_async_context(whole.part(start, end))
                if found is None:
                    raise Unavailable("its server does not send parts of it any more; try again", reason="FETCH_FAILED")
                chunks = found()
            async for data in chunks:
                yield data


async def _picked(chunks: Chunks, wanted: ByteRanges) -> AsyncIterator[bytes]:
    """Yield the bytes of ranges of a file that comes from its beginning on."""
    place, left = 0, list(wanted.ranges)
    async for data in chunks():
        while left and left[0][0] < place + len(data):
            start, end = left[0]
            yield data[max(start - place, 0) : end - place]
            if end > place + len(data):
                break
            del left[0]
        place += len(data)
        if not left:
            break


async def _first(chunks: Chunks, size_bytes: int) -> AsyncIterator[bytes]:
    left_bytes = size_bytes
    async for data in chunks():
        yield data[:left_bytes]
        left_bytes -= min(left_bytes, len(data))
        if not left_bytes:
            break


async def placed(source: Source) -> AsyncIterator[tuple[int, bytes]]:
    """Yield the chunks of a source, each with its place in the file; nothing at its end, where that is in a hole."""
    placement = ChunkPlacement(source.holes)
    async for data in source.chunks():
        for offset, part in placement.place(data):
            yield offset, part
    for offset, part in placement.finish():
        yield offset, part
