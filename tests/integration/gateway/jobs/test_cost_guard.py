"""Tasks on a machine that is paid for: what is counted, what is charged, and where it stops."""

import asyncio
import contextlib
import time
from dataclasses import dataclass, replace

import pytest

from apigpu.v1.video_pb2 import CaptionRequest, Operation
from gateway.fleet import billing
from gateway.fleet.instances.instance import InstanceState
from gateway.fleet.instances.registry import InstanceRegistry
from gateway.jobs import operation
from gateway.jobs.cost_guard import CostGuard
from gateway.jobs.model import Status, Task
from gateway.jobs.queue import TaskRef
from gateway.workers.grpc import GrpcEncoder
from servicekit.errors import FailedPrecondition
from servicekit.tls import Identity
from tests.integration.gateway.jobs.conftest import RENTED, ScriptedEncoder, serving
from tests.support.until import until, until_async, within


async def submitted(works, most_usd=None):
    wanted = await works.caption()
    if most_usd is not None:
        wanted.caption.max_cost_usd = most_usd
    return (await works.manager.submit(wanted)).id


async def read(works):
    return await works.fleet.registry.get(RENTED.id)


def cost(works, job, now=None):
    return works.fleet.registry.cost(job.usage, now or time.time())


async def test_the_time_of_a_task_is_counted_on_its_machine_and_charged_to_its_job(rented):
    rented.encoder.script = [0.3]
    job = await rented.result(await submitted(rented))
    assert job.status is Status.COMPLETED
    (spell,) = job.tasks[0].usage
    assert spell.instance == RENTED.id
    assert spell.ended_at - spell.started_at >= 0.3
    await until_async(lambda: ended_runs(rented, 1))
    kept = await read(rented)
    assert kept.busy_seconds == pytest.approx(spell.ended_at - spell.started_at)
    now = time.time()
    assert cost(rented, job, now).usd == pytest.approx(kept.usd(now), abs=0.1)
    assert rented.fleet.estimate_store.estimates.task_seconds("caption") < 20


async def test_a_message_of_a_task_that_has_ended_teaches_nothing(rented):
    job = await rented.result(await submitted(rented))
    await until_async(lambda: ended_runs(rented, 1))
    another = replace(RENTED, id="fleet-2", created_at=time.time())
    await rented.fleet.registry.create(another.id, another)
    known = rented.fleet.estimate_store.estimates
    await asyncio.sleep(0.3)
    async with CostGuard(rented.store, rented.fleet, rented.pool, 1.0).billed(TaskRef(job.id, 0), another.id):
        pass
    await asyncio.sleep(0.1)
    assert rented.fleet.estimate_store.estimates == known


async def ended_runs(works, count):
    kept = await read(works)
    return kept.tasks == count and not kept.running


async def test_jobs_beside_each_other_share_the_price(rented):
    rented.encoder.script = [0.4, 0.4]
    ids = [await submitted(rented) for _ in range(2)]
    jobs = [await rented.result(job_id) for job_id in ids]
    await until_async(lambda: ended_runs(rented, 2))
    gone = await rented.fleet.registry.update(RENTED.id, lambda m: m.terminated(time.time()))
    told = [cost(rented, job) for job in jobs]
    assert sum(one.usd for one in told) == pytest.approx(gone.usd(time.time()))
    assert all(one.is_final for one in told)


async def test_every_try_is_charged(rented):
    rented.encoder.script = ["lost", None]
    job = await rented.result(await submitted(rented))
    assert (job.status, len(job.tasks[0].usage)) == (Status.COMPLETED, 2)
    assert all(spell.ended_at for spell in job.tasks[0].usage)
    await until_async(lambda: ended_runs(rented, 2))


async def test_a_cancelled_task_is_charged_until_then(rented):
    rented.encoder.script = ["hang"]
    job_id = await submitted(rented)
    # The job knows of its run a moment after the instance does.
    await until_async(lambda: is_charged(rented, job_id))
    await rented.manager.cancel(job_id)
    await until_async(lambda: ended_runs(rented, 1))
    (spell,) = (await rented.store.get(job_id)).tasks[0].usage
    assert spell.ended_at is not None


async def is_charged(works, job_id):
    return bool((await works.store.get(job_id)).tasks[0].usage)


async def test_a_job_that_comes_to_cost_more_than_it_may_is_stopped(rented):
    rented.encoder.script = ["hang"]
    job = await rented.result(await submitted(rented, most_usd=0.5))
    assert (job.status, job.failure.code) == (Status.FAILED, FailedPrecondition.code.value[0])
    assert job.failure.reason == "COST_LIMIT"
    assert "max_cost_usd of 0.5" in job.failure.message
    await within(rented.encoder.ended.wait())


async def test_a_machine_that_is_given_back_under_a_task_costs_no_try(rented, certs):
    gone = asyncio.Event()
    rented.encoder.script = [gone]
    job_id = await submitted(rented)
    await until_async(lambda: is_charged(rented, job_id))
    await rented.fleet.registry.update(RENTED.id, lambda m: m.terminate("the dollars of the day are spent"))
    rented.pool.remove(RENTED.id)
    async with own_encoder(rented, certs):
        gone.set()
        job = await rented.result(job_id)
    assert (job.status, job.tasks[0].attempts) == (Status.COMPLETED, 1)


async def test_no_task_goes_to_a_machine_that_is_being_given_back(rented):
    await rented.fleet.registry.update(RENTED.id, lambda m: m.terminate("idle"))
    job_id = await submitted(rented)
    await asyncio.sleep(0.5)
    assert (rented.encoder.tasks, (await rented.store.get(job_id)).status) == (0, Status.IN_QUEUE)
    await rented.fleet.registry.update(RENTED.id, lambda m: replace(m, state=InstanceState.READY))
    assert (await rented.result(job_id)).status is Status.COMPLETED


async def test_own_encoders_cost_nothing(works):
    job = await works.result((await works.manager.submit(await works.caption())).id)
    assert (job.usage, cost(works, job)) == ((), None)


async def test_an_own_encoder_that_is_free_is_taken_before_a_rented_one(rented, certs):
    async with own_encoder(rented, certs) as own:
        # The dispatcher holds a lease of the rented one by now.
        await until_async(lambda: answering(rented, 2))
        assert (await rented.result(await submitted(rented))).status is Status.COMPLETED
        assert (own.tasks, rented.encoder.tasks) == (1, 0)


@contextlib.asynccontextmanager
async def own_encoder(works, certs):
    encoder = ScriptedEncoder()
    async with serving(encoder, certs) as port:
        identity = Identity.read(certs / "gateway.crt", certs / "gateway.key", certs / "ca.crt")
        works.pool.add(GrpcEncoder(f"127.0.0.1:{port}", identity.channel_credentials(), ""))
        yield encoder


async def answering(works, count):
    return works.pool.ready == count


def test_the_budget_of_an_operation_is_read_from_its_message():
    assert operation.budget(Operation(caption=CaptionRequest())) is None
    assert operation.budget(Operation(caption=CaptionRequest(max_cost_usd=0))) == 0
    assert billing.cost_of((), lambda _: None, 0.0) is None


@dataclass(frozen=True)
class Priced:
    """A fleet on which each task is expected to cost a dollar."""

    registry: InstanceRegistry

    def expected_usd(self, tasks):
        return float(sum(tasks.values()))


async def test_a_job_is_expected_to_cost_what_it_has_and_what_is_left_of_it(rented):
    wanted = Operation(caption=CaptionRequest(max_cost_usd=3.5))
    rented.encoder.script = [0.3]
    begun = await rented.result(await submitted(rented))
    guard = CostGuard(rented.store, Priced(rented.fleet.registry), rented.pool, 1.0)
    job = replace(begun, request=wanted.SerializeToString(), tasks=(*begun.tasks, *[Task()] * 3))
    guard.check(replace(job, tasks=job.tasks[1:]))
    await until(lambda: cost(rented, begun).usd > 0.5)
    with pytest.raises(FailedPrecondition) as caught:
        guard.check(job)
    assert caught.value.reason == "COST_LIMIT"
    assert float(caught.value.metadata["expected_usd"]) > 3.5
