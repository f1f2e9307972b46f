"""Ranges of a source that is another one than it was, or may be."""

import contextlib
from collections.abc import AsyncIterator

import pytest

from gateway.sources.opened import Source
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
        same = Source("film.mp4", 10, chunks)
        assert await ranged(same, ByteRanges(10, ((0, 4),)), stack) is same
