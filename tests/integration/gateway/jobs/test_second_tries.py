"""A task that lags is tried on another encoder too: the first result counts, and nothing is left of the other."""

import asyncio
import contextlib
from types import SimpleNamespace

import pytest
import structlog.testing

from gateway.fleet.speeds import ValueRange
from gateway.jobs.fairness import Share
from gateway.jobs.history import AttemptOutcome
from gateway.jobs.model import Status
from gateway.jobs.second_tries import lags
from gateway.workers.grpc import GrpcEncoder
from servicekit.errors import Cancelled, InvalidArgument
from servicekit.tls import Identity
from tests.integration.gateway.jobs.conftest import RESULT, ScriptedEncoder, Works, serving
from tests.integration.gateway.jobs.test_dispatcher import content
from tests.integration.gateway.jobs.test_fair_queue import submitted
from tests.integration.gateway.jobs.test_further_jobs import is_left, plan, sources
from tests.support.until import until


@pytest.fixture
def retry() -> dict[str, float]:
    return {"lag_seconds": 0.05}


@pytest.fixture
async def other(works: Works, certs):
    """Have a second encoder join the pool."""
    async with contextlib.AsyncExitStack() as stack:

        async def join(encoder: ScriptedEncoder) -> ScriptedEncoder:
            port = await stack.enter_async_context(serving(encoder, certs))
            identity = Identity.read(certs / "gateway.crt", certs / "gateway.key", certs / "ca.crt")
            works.pool.add(GrpcEncoder(f"127.0.0.1:{port}", identity.channel_credentials(), ""))
            return encoder

        yield join


async def lagging(works: Works, *script: object) -> tuple[str, object]:
    """A job, one of whose two scenes hangs."""
    works.encoder.script = [plan(), "hang", *script]
    wanted = await works.caption()
    job_id = (await works.manager.submit(wanted)).id
    await until(lambda: works.encoder.tasks >= 3)
    return job_id, wanted


def know_speed(works: Works, seconds: float = 0.01) -> None:
    for _ in range(5):
        works.fleet.estimate_store.task_ended("story.scene", seconds, 2, is_rented=False)


async def at_work(works: Works, step: object, *script: object) -> str:
    """A job both of whose scenes were begun."""
    works.encoder.script = [plan(), step, step, *script]
    job_id = (await works.manager.submit(await works.caption())).id
    await until(lambda: len([one for one in works.dispatcher.running.values() if one.started_at]) == 2)
    return job_id


async def test_the_first_result_counts(works: Works, other) -> None:
    job_id, wanted = await lagging(works)
    know_speed(works)
    second = await other(ScriptedEncoder())
    job = await works.result(job_id)
    assert (job.status, job.count(Status.COMPLETED)) == (Status.COMPLETED, 4)
    assert second.given[0].part in (b"scene 0", b"scene 1")
    await until(lambda: works.encoder.running == 0 and not works.dispatcher.running)
    (kept,) = job.kept
    await is_left(works, *sources(wanted), job.tasks[kept].asset)
    assert await content(works, job.tasks[kept].asset) == RESULT
    # The attempt that hung counts as the one that it was.
    assert [task.attempts for task in job.tasks] == [1, 1, 1, 1]
    (overtaken,) = [task for task in job.tasks if task.past]
    assert [one.outcome for one in overtaken.past] == [AttemptOutcome.OVERTAKEN]
    assert overtaken.past[0].encoder != overtaken.encoder
    assert overtaken.started_at < overtaken.second_started_at < overtaken.ended_at


async def test_a_second_try_that_fails_changes_nothing(works: Works, other) -> None:
    job_id, _ = await lagging(works)
    know_speed(works)
    second = await other(ScriptedEncoder(script=[InvalidArgument("this is no video")]))
    await until(lambda: second.tasks == 1 and second.running == 0)
    await until(lambda: not works.dispatcher.second_tries.running)
    job = await works.store.get(job_id)
    assert (job.status, second.tasks) == (Status.IN_PROGRESS, 1)
    await works.manager.cancel(job_id)
    await until(lambda: works.encoder.running == 0)


async def test_a_second_try_ends_with_its_task(works: Works, other) -> None:
    is_over = asyncio.Event()
    job_id = await at_work(works, is_over.wait)
    know_speed(works)
    second = await other(ScriptedEncoder(script=["hang"] * 3))
    await until(lambda: second.running == 2)
    works.encoder.cleaned_up = asyncio.Event()
    is_over.set()
    await until(lambda: not works.dispatcher.second_tries.running)
    # It did not wait for the slot of the other.
    assert works.encoder.running == 2
    assert (await works.store.get(job_id)).count(Status.COMPLETED) == 3
    await works.manager.cancel(job_id)


async def test_a_cancel_ends_both(works: Works, other) -> None:
    job_id, wanted = await lagging(works)
    know_speed(works)
    second = await other(ScriptedEncoder(script=["hang"]))
    await until(lambda: second.running == 1)
    await works.manager.cancel(job_id)
    await until(lambda: second.running == works.encoder.running == 0 and not works.dispatcher.second_tries.running)
    await is_left(works, *sources(wanted))


async def test_what_nothing_is_known_of_is_not_tried_again(works: Works, other) -> None:
    job_id, _ = await lagging(works, "hang")
    second = await other(ScriptedEncoder())
    await until(lambda: works.pool.slots == 4)
    await works.dispatcher.second_tries.look(works.dispatcher.running)
    assert second.tasks == 0
    await works.manager.cancel(job_id)


async def test_what_has_just_begun_is_not_tried_again(works: Works, other) -> None:
    know_speed(works, seconds=100)
    job_id = await at_work(works, "silent")
    second = await other(ScriptedEncoder())
    await until(lambda: works.pool.slots == 4)
    asked = works.bucket.asked
    await works.dispatcher.second_tries.look(works.dispatcher.running)
    assert works.bucket.asked == asked
    assert not works.dispatcher.second_tries.running
    assert (works.encoder.tasks, second.tasks) == (3, 0)
    await works.manager.cancel(job_id)


async def test_a_look_at_what_is_tried_twice_asks_the_store_for_nothing(works: Works, other) -> None:
    job_id = await at_work(works, "hang")
    know_speed(works)
    second = await other(ScriptedEncoder(slots=1, script=["hang"]))
    await until(lambda: second.running == 1)
    asked = works.bucket.asked
    await works.dispatcher.second_tries.look(works.dispatcher.running)
    assert works.bucket.asked == asked
    await works.manager.cancel(job_id)


async def test_a_tenant_has_no_more_tries_at_work_than_its_limit(works: Works, other) -> None:
    share = Share(max_running=2)
    works.store.index.order.share_of = lambda tenant: share
    job_id = await at_work(works, "hang")
    know_speed(works)
    second = await other(ScriptedEncoder(script=["hang", "hang"]))
    await until(lambda: works.pool.slots == 4)
    await works.dispatcher.second_tries.look(works.dispatcher.running)
    assert not works.dispatcher.second_tries.running
    share = Share(max_running=3)
    await until(lambda: second.running == 1)
    await works.dispatcher.second_tries.look(works.dispatcher.running)
    assert len(works.dispatcher.second_tries.running) == 1
    await works.manager.cancel(job_id)


async def test_tasks_that_a_limit_holds_back_keep_no_other_tenant_from_a_second_try(works: Works, other) -> None:
    works.store.index.order.share_of = lambda tenant: Share(max_running=0) if tenant == "held" else Share()
    job_id = await at_work(works, "hang")
    await submitted(works, "held", 1)
    assert works.store.index.tasks_waiting == 1
    know_speed(works)
    second = await other(ScriptedEncoder(script=["hang", "hang"]))
    await until(lambda: second.running == 2)
    assert works.store.index.tasks_waiting == 1
    await works.manager.cancel(job_id)


@pytest.mark.parametrize(
    ("ran_seconds", "share", "is_late"),
    [(1, 0, False), (9, 0.01, False), (11, 0, True), (11, 0.3, True), (11, 0.9, False), (200, 0.9, True)],
)
def test_a_task_lags_once_it_has_run_longer_than_such_tasks_take(ran_seconds: int, share: float, is_late: bool) -> None:
    attempt = SimpleNamespace(started_at=1000.0, share=share)
    assert lags(attempt, ValueRange(5.0, 10.0), 1000.0 + ran_seconds) is is_late


@pytest.mark.parametrize("retry", [{"lag_seconds": 60}])
async def test_a_second_try_that_comes_too_late_is_not_told_as_a_failure(works: Works, other) -> None:
    is_over = asyncio.Event()
    job_id = await at_work(works, is_over.wait, "hang")  # what follows on the scenes keeps the job from its end
    know_speed(works)
    second = await other(ScriptedEncoder(slots=1, begins=asyncio.Event()))
    await until(lambda: works.pool.slots == 3)
    await works.dispatcher.second_tries.look(works.dispatcher.running)
    with structlog.testing.capture_logs() as logs:
        is_over.set()
        await until(lambda: works.encoder.tasks == 4)
        second.begins.set()
        await until(lambda: not works.dispatcher.second_tries.running)
    assert [line["event"] for line in logs if "second try" in line["event"]] == ["a second try was not needed any more"]
    await works.manager.cancel(job_id)


async def test_an_attempt_whose_task_has_ended_says_as_what(works: Works) -> None:
    works.encoder.script = [plan(), "hang", "hang"]
    job_id = (await works.manager.submit(await works.caption())).id
    await until(lambda: works.encoder.tasks >= 3)
    attempt = next(iter(works.dispatcher.running.values()))
    await works.manager.cancel(job_id)
    with pytest.raises(Cancelled, match="ended already, as CANCELLED"):
        await works.dispatcher.executor.record_start(attempt)
    await until(lambda: works.encoder.running == 0)
