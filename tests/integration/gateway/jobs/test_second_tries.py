"""A task that lags is tried on another encoder too: the first result counts, and nothing is left of the other."""

import contextlib

import pytest

from gateway.jobs.model import Status
from gateway.workers.grpc import GrpcEncoder
from servicekit.errors import InvalidArgument
from servicekit.tls import Identity
from tests.integration.gateway.jobs.conftest import RESULT, ScriptedEncoder, Works, serving
from tests.integration.gateway.jobs.test_dispatcher import content
from tests.integration.gateway.jobs.test_further_jobs import is_left, plan, sources
from tests.support.until import until

pytestmark = pytest.mark.parametrize("retry", [{"lag_seconds": 0.05}])


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


def know_speed(works: Works) -> None:
    for _ in range(5):
        works.fleet.estimate_store.task_ended("story.scene", 0.01, 2, is_rented=False)


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
