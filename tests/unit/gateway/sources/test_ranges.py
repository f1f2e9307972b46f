"""Ranges of a source that is another one than it was, or may be."""

import contextlib
from collections.abc import AsyncIterator

import pytest

from gateway.sources.opened import Chunks, Source
from gateway.sources.outline import ByteRanges, ranged
from servicekit.errors import FailedPrecondition, ServiceError, Unavailable


async def chunks() -> AsyncIterator[bytes]:
    yield b"0123456789"


@pytest.mark.parametrize(("size_bytes", "error"), [(11, FailedPrecondition), (None, Unavailable)])
async def test_only_a_size_that_is_told_and_is_another_one_is_final(
    size_bytes: int | None, error: type[ServiceError]
) -> None:
    source = Source("film.mp4", size_bytes, chunks)
    async with contextlib.AsyncExitStack() as stack:
        with pytest.raises(error):
            await ranged(source, ByteRanges(10, ((0, 4),)), stack)
        assert await ranged(Source("film.mp4", 10, chunks), ByteRanges(10, ((0, 4),)), stack)


@pytest.mark.parametrize("size", [1, 3, 4, 10])
@pytest.mark.parametrize("refuses", [False, True])
@pytest.mark.parametrize("ranges", [((0, 4),), ((2, 3), (4, 7)), ((5, 6),), ((0, 10),), ((0, 1), (3, 5), (9, 10))])
async def test_of_what_is_sent_from_its_beginning_alone_only_ranges_leave(
    size: int, refuses: bool, ranges: tuple[tuple[int, int], ...]
) -> None:
    read = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal read
        for start in range(0, 10, size):
            read += 1
            yield b"0123456789"[start : start + size]

    @contextlib.asynccontextmanager
    async def part(start: int, end: int) -> AsyncIterator[Chunks | None]:
        yield None

    source = Source("film.mp4", 10, pieces, part=part if refuses and ranges[-1][0] else None)
    async with contextlib.AsyncExitStack() as stack:
        found = await ranged(source, ByteRanges(10, ranges), stack)
        sent = b"".join([data async for data in found.chunks()])
    assert sent == b"".join(b"0123456789"[start:end] for start, end in ranges)
    assert found.sent_bytes == len(sent)
    assert read == -(-ranges[-1][1] // size)  # nothing behind the last one
