"""Beginnings of downloads: what is held, what is let go, and what there is no room for."""

import contextlib
import os

import pytest

from gateway.assets.store import AssetStore
from gateway.callers import DEFAULT_TENANT
from gateway.sources import Sources
from gateway.sources.prefetch import FIRST_PART_BYTES, Prefetcher
from servicekit.disk import DiskFloor
from servicekit.errors import NotFound
from tests.support.web_server import answer

SIZES = (0, 5, 700_000, 1 << 20, 3_000_001)


@pytest.fixture
def sources(fetching, tmp_path):
    return Sources(fetching(), AssetStore(str(tmp_path / "assets"), retention_seconds=60, max_bytes=100))


async def read(fetched):
    async with fetched.open() as source:
        return source.size_bytes, b"".join([chunk async for chunk in source.chunks()])


@pytest.mark.parametrize("size", SIZES)
async def test_a_small_source_is_held_whole(serve, sources, tmp_path, size):
    body = os.urandom(size)
    web = await serve({"/a": answer(body), "/b": answer(body, Content_Length=None, Connection="close")})
    prefetcher = Prefetcher(sources, tmp_path / "held")
    async with contextlib.AsyncExitStack() as stack:
        fetched = await prefetcher.fetch(lambda: sources.open(web.url("/a"), DEFAULT_TENANT), stack)
        assert (fetched.rest, prefetcher.held_bytes) == (None, size)
        assert await read(fetched) == (size, body)
        assert await read(fetched) == (size, body)
        assert list((tmp_path / "held").iterdir()) == []  # what lies there has no name
    assert prefetcher.held_bytes == 0


async def test_of_a_large_source_a_part_is_held(serve, sources, tmp_path):
    body = os.urandom(5_000_000)
    web = await serve({"/a": answer(body)})
    prefetcher = Prefetcher(sources, tmp_path / "held", max_small_bytes=2_000_000)
    async with contextlib.AsyncExitStack() as stack:
        fetched = await prefetcher.fetch(lambda: sources.open(web.url("/a"), DEFAULT_TENANT), stack)
        assert prefetcher.held_bytes == FIRST_PART_BYTES
        assert await read(fetched) == (len(body), body)
    assert len(web.requests) == 1


@pytest.mark.parametrize("room", [{"max_held_bytes": 2_000_000}, {"floor": True}])
async def test_what_has_no_room_is_left_for_later(serve, sources, tmp_path, room):
    if room.get("floor"):
        room = {"floor": DiskFloor(tmp_path, 1 << 60)}
    body = os.urandom(5_000_000)
    web = await serve({"/a": answer(body)})
    prefetcher = Prefetcher(sources, tmp_path / "held", **room)
    async with contextlib.AsyncExitStack() as stack:
        fetched = await prefetcher.fetch(lambda: sources.open(web.url("/a"), DEFAULT_TENANT), stack)
        assert prefetcher.held_bytes <= 2_000_000
        assert await read(fetched) == (len(body), body)
    assert prefetcher.held_bytes == 0


async def test_nothing_is_held_of_what_fails(serve, sources, tmp_path):
    web = await serve({"/a": answer(b"", "404 Not Found")})
    prefetcher = Prefetcher(sources, tmp_path / "held")
    async with contextlib.AsyncExitStack() as stack:
        with pytest.raises(NotFound):
            await prefetcher.fetch(lambda: sources.open(web.url("/a"), DEFAULT_TENANT), stack)
    assert prefetcher.held_bytes == 0


def test_assets_are_not_downloaded(sources, tmp_path):
    prefetcher = Prefetcher(sources, tmp_path)
    assert prefetcher.is_remote("https://h/a")
    assert not prefetcher.is_remote("assets/" + "a" * 26)
