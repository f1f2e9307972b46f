"""Outlines of large files: a head and a tail, with a hole between. They have what tells formats and durations, so that
planning with a film costs some MiB, and not the film."""

import contextlib
from collections.abc import AsyncIterator

from gateway.sources.opened import Chunks, Source
from servicekit.chunks import ChunkPlacement, Hole
from servicekit.disk import MIB

HEAD_BYTES = MIB
# Of MP4, the index stands at either end; it has some bytes for each frame.
TAIL_BYTES = 4 * MIB
# What is smaller comes whole.
MIN_BYTES = 8 * MIB


async def outlined(whole: Source, stack: contextlib.AsyncExitStack) -> Source:
    """Return an outline of a source that is open, or that itself where it is small, or has no other way than from its
    beginning to its end. The stack closes what is opened for it."""
    size_bytes = whole.size_bytes or 0
    if size_bytes < MIN_BYTES or whole.tail is None:
        return whole
    hole = Hole(HEAD_BYTES, size_bytes - TAIL_BYTES)
    tail = await stack.enter_async_context(whole.tail(hole.end))
    if tail is None:
        return whole
    return Source(whole.filename, size_bytes, lambda: _ends(whole.chunks, tail), whole.charset, hole)


async def _ends(head: Chunks, tail: Chunks) -> AsyncIterator[bytes]:
    left_bytes = HEAD_BYTES
    async for data in head():
        yield data[:left_bytes]
        left_bytes -= min(left_bytes, len(data))
        if not left_bytes:
            break
    async for data in tail():
        yield data


async def placed(source: Source) -> AsyncIterator[tuple[int, bytes]]:
    """Yield the chunks of a source, each with its place in the file."""
    placement = ChunkPlacement(source.hole)
    async for data in source.chunks():
        for offset, part in placement.place(data):
            yield offset, part
