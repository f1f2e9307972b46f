"""Spools: what cannot be read in parts is downloaded once for a job, and its tasks read their parts as these arrive."""

import asyncio
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.assets.store import AssetStore
from gateway.callers import DEFAULT_TENANT
from gateway.sources import ByteRanges, Sources
from gateway.sources.opened import Source
from gateway.sources.outline import MIN_BYTES, TAIL_BYTES
from gateway.sources.spools import MAX_WAITING, Spool, Spools, StillComing
from servicekit.chunks import HEAD_BYTES
from servicekit.disk import RETRY_SECONDS, DiskFloor
from servicekit.errors import Aborted, FailedPrecondition, ResourceExhausted, Unavailable
from tests.integration.gateway.sources.test_outline import BODY, OUTLINE, SIZE, WHOLE, origin, read
from tests.support.until import until
from tests.support.web_server import answer

JOB = "job"
MIDDLE = 5 * 1024 * 1024
RANGES = ByteRanges(SIZE, ((0, 10), (MIDDLE - 10, MIDDLE)))
OF_RANGES = [(0, BODY[:10]), (MIDDLE - 10, BODY[MIDDLE - 10 : MIDDLE]), (SIZE, b"")]
NO_SIZE = {"Content_Length": None, "Connection": "close"}


@pytest.fixture
async def spools(tmp_path):
    spools = Spools(tmp_path / "spools")
    yield spools
    await spools.aclose()


@pytest.fixture
def sources(fetching, tmp_path, spools):
    store = AssetStore(str(tmp_path / "assets"), retention_seconds=60, max_bytes=1 << 30)
    return Sources(fetching(idle_seconds=30.0), store, spools=spools)


@pytest.fixture
async def slow(serve):
    """A server of one file that sends what it `may`; it knows no ranges."""
    may = {"bytes": 0}
    grown = asyncio.Condition()

    async def send(writer):
        head, sent = answer(BODY, **may.get("headers", {})), 0
        start = len(head) - len(BODY)
        writer.write(head[:start])
        while sent < SIZE:
            async with grown:
                while may["bytes"] <= sent:
                    await grown.wait()
            end = min(may["bytes"], SIZE)
            writer.write(BODY[sent:end])
            sent = end
            with contextlib.suppress(ConnectionError):
                await writer.drain()

    async def let(count, **more):
        async with grown:
            may.update(bytes=count, **more)
            grown.notify_all()

    web = await serve({"/a": send})
    web.let = let
    yield web
    await let(SIZE)


async def outline(sources, url, job_id=JOB):
    return await read(sources.open_outline(url, DEFAULT_TENANT, job_id=job_id))


async def ranges(sources, url, wanted=RANGES, job_id=JOB):
    return (await read(sources.open_ranges(url, DEFAULT_TENANT, wanted, job_id)))[1]


async def test_a_film_is_planned_by_its_head_and_read_in_parts_while_the_rest_is_on_its_way(slow, sources):
    await slow.let(HEAD_BYTES)
    _, stretches = await outline(sources, slow.url("/a"))
    assert stretches == [(0, BODY[:HEAD_BYTES]), (SIZE, b"")]
    reading = asyncio.create_task(ranges(sources, slow.url("/a")))
    await slow.let(MIDDLE - 1)
    last = asyncio.create_task(ranges(sources, slow.url("/a"), ByteRanges(SIZE, ((SIZE - 5, SIZE),))))
    done, _ = await asyncio.wait([reading], timeout=0.2)
    assert not done
    await slow.let(MIDDLE)
    assert await reading == OF_RANGES
    assert not last.done()
    await slow.let(SIZE)
    assert await last == [(SIZE - 5, BODY[-5:])]
    # Read by whoever needs the whole, too, and with its end from now on.
    assert (await read(sources.open(slow.url("/a"), DEFAULT_TENANT, JOB)))[1] == WHOLE
    assert (await outline(sources, slow.url("/a")))[1] == OUTLINE
    assert len(slow.requests) == 1


async def test_a_source_that_does_not_tell_its_size_comes_whole_to_the_planner_and_then_in_parts(serve, sources):
    routes = {}
    routes["web"] = web = await serve({"/a": origin(routes, whole=NO_SIZE)})
    assert (await outline(sources, web.url("/a")))[1] == WHOLE
    assert await ranges(sources, web.url("/a")) == OF_RANGES
    assert len(web.requests) == 1
    # As another gateway has it, which did not see it before.
    assert await ranges(sources, web.url("/a"), job_id="another") == OF_RANGES


async def test_a_source_without_a_version_is_planned_by_its_ends_and_read_from_one_answer(serve, sources):
    routes, whole = {}, {"Accept_Ranges": "bytes"}
    routes["web"] = web = await serve({"/a": origin(routes, whole=whole)})
    _, stretches = await outline(sources, web.url("/a"))
    assert [offset for offset, _ in stretches] == [0, SIZE - TAIL_BYTES]
    assert await ranges(sources, web.url("/a")) == OF_RANGES
    assert ["Range" in head for head in web.requests] == [False, True]


async def test_what_tells_its_version_or_is_small_or_is_for_no_job_is_not_kept(serve, sources, spools, tmp_path):
    routes, small = {}, {}
    routes["web"] = web = await serve({"/a": origin(routes), "/none": answer(BODY)})
    small["web"] = other = await serve({"/a": origin(small, body=BODY[: MIN_BYTES - 1], whole={})})
    await outline(sources, web.url("/a"))
    await outline(sources, other.url("/a"))
    await outline(sources, web.url("/none"), job_id="")
    spools.is_open = lambda _: False
    await outline(sources, web.url("/none"))
    assert not (tmp_path / "spools").exists()
    spools.is_open = lambda _: True
    spools.floor = DiskFloor(tmp_path, 1 << 60)
    assert (await outline(sources, web.url("/none")))[1] == WHOLE
    assert not (tmp_path / "spools").exists()


async def test_tasks_that_begin_at_once_share_one_download_and_end_the_others(serve, sources, spools):
    closed = []

    async def send(writer):
        writer.write(answer(BODY)[: -MIN_BYTES // 2])
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            await writer.wait_closed()
        closed.append(writer)

    web = await serve({"/a": send})
    waiting = [asyncio.create_task(ranges(sources, web.url("/a"), ByteRanges(SIZE, ((SIZE - 5, SIZE),)))) for _ in "ab"]
    async with asyncio.timeout(10):
        while not (len(web.requests) == 2 and len(closed) == 1):
            await asyncio.sleep(0.01)
    spools.end(JOB)
    assert [type(one) for one in await asyncio.gather(*waiting, return_exceptions=True)] == [Aborted, Aborted]


async def test_no_more_than_a_few_wait_for_what_has_not_come(slow, sources):
    await slow.let(HEAD_BYTES)
    await outline(sources, slow.url("/a"))
    waiting = [asyncio.create_task(ranges(sources, slow.url("/a"))) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0.05)
    with pytest.raises(StillComing) as caught:
        await ranges(sources, slow.url("/a"))
    assert 1 <= caught.value.retry_seconds <= 30
    await slow.let(SIZE)
    assert await asyncio.gather(*waiting) == [OF_RANGES] * MAX_WAITING


async def test_with_its_job_what_is_kept_ends_and_the_download_with_it(slow, sources, spools):
    await slow.let(HEAD_BYTES)
    await outline(sources, slow.url("/a"))
    waiting = asyncio.create_task(ranges(sources, slow.url("/a")))
    await asyncio.sleep(0.05)
    spools.end("another")
    assert spools.find(JOB, slow.url("/a"))
    spools.end(JOB)
    with pytest.raises(Aborted):
        await waiting
    assert spools.find(JOB, slow.url("/a")) is None


async def test_a_download_that_breaks_off_fails_who_waits_and_is_begun_anew(serve, sources):
    routes, whole = {}, {"Content_Length": str(2 * SIZE)}
    routes["web"] = web = await serve({"/a": origin(routes, whole=whole)})
    wanted = ByteRanges(2 * SIZE, ((2 * SIZE - 5, 2 * SIZE),))
    await outline(sources, web.url("/a"))
    for count in (1, 2):
        with pytest.raises(Unavailable):
            await ranges(sources, web.url("/a"), wanted)
        assert len(web.requests) == count
    whole.clear()
    with pytest.raises(FailedPrecondition) as caught:
        await ranges(sources, web.url("/a"), wanted)
    assert caught.value.reason == "INPUT_CHANGED"


@dataclass(frozen=True)
class Disk(DiskFloor):
    """A disk on which what lies in spools takes room."""

    room_bytes: int = SIZE * 3 // 2

    @property
    def kept_bytes(self):
        files = [os.path.join("/proc/self/fd", number) for number in os.listdir("/proc/self/fd")]
        return sum(
            os.stat(file).st_size for file in files if os.path.lexists(file) and str(self.folder) in os.readlink(file)
        )

    @property
    def free_bytes(self):
        return self.room_bytes - self.kept_bytes


async def test_what_nobody_reads_makes_room_for_another(serve, sources, spools, tmp_path):
    web = await serve({"/a": answer(BODY), "/b": answer(BODY)})
    await outline(sources, web.url("/a"))
    await ranges(sources, web.url("/a"))
    spools.floor = disk = Disk(spools.folder, 1)
    await outline(sources, web.url("/b"))
    assert spools.find(JOB, web.url("/b"))
    assert spools.find(JOB, web.url("/a")) is None
    assert await ranges(sources, web.url("/b")) == OF_RANGES
    assert 0 < disk.kept_bytes <= SIZE


async def test_what_is_read_is_kept_and_what_would_make_no_room(serve, sources, spools):
    web = await serve({"/a": answer(BODY), "/b": answer(BODY)})
    await outline(sources, web.url("/a"))
    await ranges(sources, web.url("/a"))
    spools.floor = Disk(spools.folder, 1)
    async with spools.find(JOB, web.url("/a")).open():
        assert (await outline(sources, web.url("/b")))[1] == WHOLE
        assert spools.find(JOB, web.url("/b")) is None
    spools.floor = Disk(spools.folder, 1, room_bytes=-1)
    assert (await outline(sources, web.url("/b")))[1] == WHOLE
    assert spools.find(JOB, web.url("/a"))


async def test_what_is_still_to_come_has_its_room_already(slow, sources, spools):
    await slow.let(HEAD_BYTES)
    spools.floor = Disk(spools.folder, 1)
    await outline(sources, slow.url("/a"))
    async with spools.find(JOB, slow.url("/a")).open():
        reading = asyncio.create_task(outline(sources, slow.url("/a"), job_id="another"))
        await until(lambda: len(slow.requests) == 2)
        await slow.let(SIZE)
        assert (await reading)[1] == WHOLE
    assert spools.find("another", slow.url("/a")) is None


async def test_a_download_that_broke_off_leaves_nothing_on_the_disk(serve, sources, spools):
    routes = {}
    routes["web"] = web = await serve({"/a": origin(routes, whole={"Content_Length": str(2 * SIZE)})})
    await outline(sources, web.url("/a"))
    wanted = ByteRanges(2 * SIZE, ((2 * SIZE - 5, 2 * SIZE),))
    with pytest.raises(Unavailable):
        await ranges(sources, web.url("/a"), wanted)
    await until(lambda: not Disk(spools.folder, 1).kept_bytes)


async def test_where_no_file_can_be_made_a_source_comes_as_it_is(serve, sources, spools, tmp_path):
    spools.folder = tmp_path / "file"
    spools.folder.touch()
    web = await serve({"/a": answer(BODY)})
    assert (await outline(sources, web.url("/a")))[1] == WHOLE


async def test_a_full_disk_fails_who_waits_and_ends_quietly(spools):
    async def chunks():
        yield bytes(10_000)

    with open("/dev/full", "w+b") as full:
        spool = Spool(Source("film.mp4", 2 * SIZE, chunks), full, contextlib.AsyncExitStack(), DiskFloor(Path(), 1))
        async with spool.open():
            spool.start()
            with pytest.raises(ResourceExhausted) as caught:
                await spool.until(1)
            assert caught.value.retry_seconds == RETRY_SECONDS
        await spool.close()
    assert full.closed
