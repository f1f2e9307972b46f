"""A store that does not answer for a while: whoever waits goes on waiting, and what was refused does not run."""

import asyncio

import pytest

from gateway.assets.links import LinkSigner
from gateway.jobs import model
from gateway.jobs.listing import JobFilter
from gateway.jobs.model import Status
from gateway.services.jobs import JobWatch
from gateway.services.presenters import Presenter
from servicekit.errors import Unavailable
from tests.support.until import HANG_SECONDS, until


@pytest.fixture
def bucket(works):
    return works.bucket


@pytest.fixture
def gate():
    return asyncio.Event()


@pytest.fixture
async def job(works, bucket, gate):
    """A job that runs until the gate is opened."""
    works.encoder.script = [gate.wait]
    submitted = await works.manager.submit(await works.caption())
    await until(lambda: works.store.index.tasks_running)
    return submitted


@pytest.mark.parametrize("retry", [{"recheck_seconds": 0.05}])
async def test_whoever_waits_for_a_job_waits_on(works, bucket, job, gate):
    bucket.is_away = True
    waiting = asyncio.create_task(works.result(job.id))
    await until(lambda: bucket.refused > 3)
    bucket.is_away = False
    gate.set()
    assert (await waiting).status is Status.COMPLETED


@pytest.mark.parametrize("retry", [{"recheck_seconds": 0.05}])
async def test_whoever_waits_hears_of_the_end_though_the_store_is_silent(works, bucket, job):
    bucket.silence = asyncio.Event()
    waiting = asyncio.create_task(works.manager.wait(job.id))
    await until(lambda: bucket.refused)
    works.manager.end_waits()
    async with asyncio.timeout(HANG_SECONDS):
        with pytest.raises(Unavailable, match="goes on"):
            await waiting
    bucket.silence.set()


async def test_a_job_that_ends_with_the_gateway_is_told(works, bucket, job, gate):
    gate.set()
    await works.result(job.id)
    bucket.silence = asyncio.Event()
    waiting = asyncio.create_task(works.manager.wait(job.id))
    await until(lambda: bucket.refused)
    works.manager.end_waits()
    await asyncio.sleep(0.1)
    bucket.silence.set()
    assert (await waiting).status is Status.COMPLETED


@pytest.mark.parametrize("retry", [{"recheck_seconds": 0.05}])
async def test_whoever_watches_a_job_watches_on(works, bucket, job, gate):
    messages = Presenter(LinkSigner(b"s" * 32, 60), works.fleet.registry.cost)
    events = JobWatch(works.manager, messages, works.fleet).events(job.id)
    assert (await anext(events)).WhichOneof("event")
    bucket.is_away = True
    going_on = asyncio.create_task(all_of(events))
    await until(lambda: bucket.refused > 3)
    assert not going_on.done()
    bucket.is_away = False
    gate.set()
    assert (await going_on)[-1].HasField("finished")


async def all_of(events):
    return [event async for event in events]


@pytest.mark.parametrize("retry", [{"withdraw_retry_seconds": 0.1}])
@pytest.mark.parametrize("overtaken", [False, True])
async def test_a_job_whose_submission_was_refused_does_not_run(works, bucket, overtaken):
    wanted, bucket.is_away = await works.caption(), True
    with pytest.raises(Unavailable):
        await works.manager.submit(wanted)
    await until(lambda: bucket.refused > 2)
    if overtaken:
        bucket.is_away = False
        await until(lambda: bucket.asked)
    await bucket.flush()
    bucket.is_away = False
    await until(lambda: not works.manager.withdrawals)
    await until(lambda: works.store.index.ids(lambda _: True))
    await works.queue.recover(works.store)
    ((job,), _) = await works.manager.page(JobFilter(), 5, "")
    await asyncio.sleep(0.1)
    assert (job.status, works.encoder.tasks) == (Status.CANCELLED, 0)


@pytest.mark.parametrize("retry", [{"withdraw_retry_seconds": 0.05}])
async def test_a_job_that_was_never_written_is_looked_for_no_longer_than_needed(works):
    works.manager.withdraw(model.new_id(0))
    await until(lambda: not works.manager.withdrawals)
