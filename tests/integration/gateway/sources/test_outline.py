"""Outlines: of a large source the head and the tail, where there is a way to read the tail alone."""

import contextlib
import os
import re

import pytest

from gateway.assets.store import AssetStore
from gateway.callers import DEFAULT_TENANT
from gateway.sources import ByteRanges, Sources
from gateway.sources.outline import MIN_BYTES, TAIL_BYTES, placed
from gateway.sources.prefetch import Prefetcher
from servicekit.chunks import HEAD_BYTES, ChunkPlacement, Hole, parse_holes
from servicekit.errors import DataLoss, FailedPrecondition
from tests.support.web_server import answer

SIZE = MIN_BYTES + 12_345
BODY = os.urandom(SIZE)
OUTLINE = [(0, BODY[:HEAD_BYTES]), (SIZE - TAIL_BYTES, BODY[-TAIL_BYTES:])]
WHOLE = [(0, BODY)]
RANGED = {"Accept_Ranges": "bytes", "ETag": '"one"'}


@pytest.fixture
def sources(fetching, tmp_path):
    return Sources(fetching(), AssetStore(str(tmp_path / "assets"), retention_seconds=60, max_bytes=1 << 30))


def origin(web_routes, body=BODY, whole=RANGED, part=None):
    """A server of one file; `part` makes its answer to a range of it, else it answers as it should."""

    async def send(writer):
        head = web_routes["web"].requests[-1]
        asked = re.search(r"Range: bytes=(\d+)-(\d+)", head)
        if not asked:
            writer.write(answer(body, **whole))
        elif part is not None:
            writer.write(part)
        else:
            first, last = map(int, asked.groups())
            told = f"bytes {first}-{last}/{len(body)}"
            writer.write(answer(body[first : last + 1], "206 Partial Content", Content_Range=told))
        with contextlib.suppress(ConnectionError):
            await writer.drain()

    return send


async def read(opened):
    """Where each stretch of a source stands, and its bytes."""
    stretches = []
    async with opened as source:
        async for offset, data in placed(source):
            if stretches and stretches[-1][0] + len(stretches[-1][1]) == offset:
                stretches[-1][1].extend(data)
            else:
                stretches.append((offset, bytearray(data)))
        return source, stretches


async def test_of_a_large_asset_the_ends_are_read(sources):
    async with sources.assets.create("film.mp4") as writer:
        await writer.write(BODY)
        asset = await writer.commit()
    source, stretches = await read(sources.open_outline(asset.name, DEFAULT_TENANT))
    assert stretches == OUTLINE
    assert (source.size_bytes, source.sent_bytes) == (SIZE, HEAD_BYTES + TAIL_BYTES)
    assert (await read(sources.open(asset.name, DEFAULT_TENANT)))[1] == WHOLE


async def test_of_a_large_file_on_the_web_the_ends_are_fetched(serve, sources):
    routes = {}
    routes["web"] = web = await serve({"/a": origin(routes)})
    _, stretches = await read(sources.open_outline(web.url("/a"), DEFAULT_TENANT))
    assert stretches == OUTLINE
    assert f"Range: bytes={SIZE - TAIL_BYTES}-{SIZE - 1}\r\n" in web.requests[1]
    assert 'If-Range: "one"\r\n' in web.requests[1]


WRONG = {
    "the whole": answer(BODY),
    "another file": answer(BODY[-TAIL_BYTES:], "206 Partial Content", Content_Range=f"bytes 5-{SIZE - 1}/{SIZE}"),
    "another size": answer(BODY[-TAIL_BYTES:], "206 Partial Content", Content_Range=f"bytes 12345-{SIZE}/{SIZE + 1}"),
    "an error": answer(b"", "500 Internal Server Error"),
    "nothing": b"",
}


@pytest.mark.parametrize("part", WRONG)
async def test_where_a_server_sends_something_else_the_whole_is_fetched(serve, sources, part):
    routes = {}
    routes["web"] = web = await serve({"/a": origin(routes, part=WRONG[part])})
    assert (await read(sources.open_outline(web.url("/a"), DEFAULT_TENANT)))[1] == WHOLE


MONDAY, TUESDAY = "Mon, 02 Nov 2026 10:00:00 GMT", "Tue, 03 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize("name", ["ETag", "Last_Modified"])
async def test_a_part_of_another_file_of_the_same_size_is_not_taken(serve, sources, name):
    one, two = ('"one"', '"two"') if name == "ETag" else (MONDAY, TUESDAY)
    told = f"bytes {SIZE - TAIL_BYTES}-{SIZE - 1}/{SIZE}"
    part = answer(bytes(TAIL_BYTES), "206 Partial Content", Content_Range=told, **{name: two})
    routes = {}
    routes["web"] = web = await serve({"/a": origin(routes, whole={"Accept_Ranges": "bytes", name: one}, part=part)})
    assert (await read(sources.open_outline(web.url("/a"), DEFAULT_TENANT)))[1] == WHOLE


@pytest.mark.parametrize("name", ["ETag", "Last_Modified"])
async def test_ranges_of_a_file_that_changed_meanwhile_are_refused(serve, sources, name):
    one, two = ('"one"', '"two"') if name == "ETag" else (MONDAY, TUESDAY)
    routes, told = {}, {"Accept_Ranges": "bytes", name: one}
    routes["web"] = web = await serve({"/a": origin(routes, whole=told)})
    async with sources.open(web.url("/a"), DEFAULT_TENANT) as source:
        wanted = ByteRanges(SIZE, ((0, 10), (100_000, 100_010)), source.version)
    _, stretches = await read(sources.open_ranges(web.url("/a"), DEFAULT_TENANT, wanted))
    assert stretches == [(0, BODY[:10]), (100_000, BODY[100_000:100_010]), (SIZE, b"")]
    told[name] = two
    with pytest.raises(FailedPrecondition) as caught:
        await read(sources.open_ranges(web.url("/a"), DEFAULT_TENANT, wanted))
    assert caught.value.reason == "INPUT_CHANGED"


@pytest.mark.parametrize("whole", [{}, {"Accept_Ranges": "none"}, RANGED | {"Content_Length": None}])
async def test_where_a_server_knows_no_ranges_or_no_size_it_is_asked_once(serve, sources, whole):
    routes = {}
    routes["web"] = web = await serve({"/a": origin(routes, whole=whole)})
    assert (await read(sources.open_outline(web.url("/a"), DEFAULT_TENANT)))[1] == WHOLE
    assert len(web.requests) == 1


async def test_what_is_small_comes_whole(serve, sources):
    routes, body = {}, BODY[: MIN_BYTES - 1]
    routes["web"] = web = await serve({"/a": origin(routes, body=body)})
    assert (await read(sources.open_outline(web.url("/a"), DEFAULT_TENANT)))[1] == [(0, body)]
    assert len(web.requests) == 1


async def test_an_outline_is_held_beforehand(serve, sources, tmp_path):
    routes = {}
    routes["web"] = web = await serve({"/a": origin(routes)})
    prefetcher = Prefetcher(sources, tmp_path / "held")
    async with contextlib.AsyncExitStack() as stack:
        fetched = await prefetcher.fetch(lambda: sources.open_outline(web.url("/a"), DEFAULT_TENANT), stack)
        assert (fetched.rest, prefetcher.held_bytes) == (None, HEAD_BYTES + TAIL_BYTES)
        source, stretches = await read(fetched.open())
    assert (stretches, source.size_bytes) == (OUTLINE, SIZE)


@pytest.mark.parametrize("size", [1, 3, 4, 5, 100])
def test_chunks_of_any_size_are_placed_around_a_hole(size):
    placement, sent = ChunkPlacement([Hole(4, 9)]), bytes(range(11))
    placed = [one for start in range(0, 11, size) for one in placement.place(sent[start : start + size])]
    at = {offset + number: byte for offset, part in placed for number, byte in enumerate(part)}
    assert at == {**{number: number for number in range(4)}, **{number + 5: number for number in range(4, 11)}}


def test_a_hole_is_told_in_a_header():
    assert parse_holes(f"{Hole(4, 9)},{Hole(9, 12)}") == (Hole(4, 9), Hole(9, 12))
    assert parse_holes("") == ()
    for text in ("4", "9-4", "a-b", "-5", "4-9-10", "4-9,", "4-9,8-10"):
        with pytest.raises(DataLoss):
            parse_holes(text)
