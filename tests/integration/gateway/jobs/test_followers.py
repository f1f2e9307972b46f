"""Those who follow jobs: each is told, and the store is asked once for all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from apigpu.v1 import jobs_pb2
from gateway.assets.links import LinkSigner
from gateway.jobs.followers import MAX_OFFERED_BYTES, Followers
from gateway.jobs.model import Status
from gateway.services.jobs import JobWatch
from gateway.services.presenters import Presenter
from servicekit.errors import Unavailable
from tests.integration.gateway.jobs.conftest import Works
from tests.support.until import until, within

WATCHERS = 50


@contextlib.asynccontextmanager
async def watching(works: Works, job_id: str, count: int) -> AsyncIterator[list[list[jobs_pb2.WatchJobResponse]]]:
    """So many watches of a job, and what each has told so far."""
    presenter = Presenter(LinkSigner(b"s" * 32, 60), works.fleet.registry.cost)
    told: list[list[jobs_pb2.WatchJobResponse]] = [[] for _ in range(count)]

    async def watch(events: list[jobs_pb2.WatchJobResponse]) -> None:
        async for event in JobWatch(works.manager, presenter, works.fleet).events(job_id):
            events += [event]

    tasks = [asyncio.create_task(watch(events)) for events in told]
    try:
        await until(lambda: all(told))
        yield told
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def queued(works: Works) -> list[str]:
    """Two jobs that run, and three behind them."""
    works.encoder.script = ["hang", "hang"]
    jobs = [(await works.manager.submit(await works.caption())).id for _ in range(5)]
    await until(lambda: works.store.index.tasks_running == 2)
    return jobs


async def test_what_others_do_costs_a_watcher_no_read(works: Works, queued: list[str]) -> None:
    async with watching(works, queued[-1], WATCHERS) as told:
        asked = works.bucket.asked
        jobs = [await works.manager.submit(await works.caption()) for _ in range(5)]
        for job in jobs:
            await works.manager.cancel(job.id)
        await asyncio.sleep(0.4)
        # Each submit and each cancel reads and writes a record itself.
        assert works.bucket.asked - asked <= 3 * 10 + 1
        assert all(len(events) == 1 for events in told)


async def test_a_job_that_was_just_submitted_is_not_read_to_be_watched(works: Works, queued: list[str]) -> None:
    job = await works.manager.submit(await works.caption())
    asked = works.bucket.asked
    async with watching(works, job.id, WATCHERS) as told:
        assert {events[-1].queued.place for events in told} == {4}
        assert works.bucket.asked == asked
        await works.manager.cancel(job.id)
        await until(lambda: all(events[-1].HasField("finished") for events in told))


async def test_a_change_is_read_once_for_all(works: Works, queued: list[str]) -> None:
    async with watching(works, queued[-1], WATCHERS) as told:
        asked = works.bucket.asked
        await works.manager.cancel(queued[-1])
        await until(lambda: all(events[-1].HasField("finished") for events in told))
        assert works.bucket.asked - asked <= 3
        assert {events[-1].finished.status for events in told} == {jobs_pb2.Job.CANCELLED}


async def test_places_move_up_when_a_job_before_leaves_the_queue(works: Works, queued: list[str]) -> None:
    async with watching(works, queued[-1], 2) as told:
        assert {events[-1].queued.place for events in told} == {3}
        await works.manager.cancel(queued[2])
        await until(lambda: all(events[-1].queued.place == 2 for events in told))
    assert not works.store.index.followers.jobs


@pytest.mark.parametrize("retry", [{"recheck_seconds": 0.05}])
async def test_a_change_that_no_watch_told_is_found(works: Works, queued: list[str]) -> None:
    waiting = asyncio.create_task(works.manager.wait(queued[-1]))
    await until(lambda: works.store.index.followers.jobs)
    works.store.listeners.clear()
    await works.manager.cancel(queued[-1])
    assert (await waiting).status is Status.CANCELLED


async def test_a_small_result_is_there_for_who_followed_the_job_when_it_was_stored(works: Works) -> None:
    presenter = Presenter(LinkSigner(b"s" * 32, 60), works.fleet.registry.cost)
    small, large = b"small result", bytes(MAX_OFFERED_BYTES + 1)
    works.encoder.script = [small, large]
    for result in (small, large):
        works.encoder.begins = asyncio.Event()
        job = await works.manager.submit(await works.caption())
        watch = JobWatch(works.manager, presenter, works.fleet)
        told: list[jobs_pb2.WatchJobResponse] = []
        async for event in watch.events(job.id):
            told += [event]
            works.encoder.begins.set()
        asset = told[-1].finished.output.asset
        late = JobWatch(works.manager, presenter, works.fleet)
        assert [event.finished.output.asset async for event in late.events(job.id)] == [asset]
        assert watch.held_result(asset) == (result if result is small else b"")
        assert [watch.held_result("assets/other"), late.held_result(asset)] == [b"", b""]


async def test_a_result_that_was_stored_a_while_ago_is_not_held() -> None:
    followers = Followers(lambda job_id: False)
    with followers.following("job") as follower:
        followers.offer("job", "assets/a", b"Hi", seconds=0.0)
        followers.offer("job", "assets/b", b"Ho", seconds=60.0)
        await asyncio.sleep(0.01)
        assert [follower.result(asset) for asset in ("assets/a", "assets/b")] == [b"", b"Ho"]
        followers.offer("job", "assets/c", b"He", seconds=0.0)
        await until(lambda: not follower.result("assets/c"))


@pytest.mark.parametrize("retry", [{"recheck_seconds": 600.0}])
async def test_who_follows_is_woken_when_the_gateway_shuts_down(works: Works, queued: list[str]) -> None:
    waiting = asyncio.create_task(works.manager.wait(queued[-1]))
    await until(lambda: works.store.index.followers.jobs)
    works.manager.end_waits()
    with pytest.raises(Unavailable, match="shutting down"):
        await within(waiting)
