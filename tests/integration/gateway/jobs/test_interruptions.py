"""What ends an attempt without a part of the task in it: lines that are cut, disks that are full, gateways that end. It
costs no attempt; an encoder that ends with the task in hand does."""

import asyncio
import contextlib
import itertools
import time

import pytest

from gateway.jobs import model
from gateway.jobs.model import Status, Task
from gateway.jobs.results import delete_orphaned_results, result_id
from gateway.workers.grpc import GrpcEncoder
from gateway.workers.pool import Pool
from servicekit.errors import InvalidArgument, ResourceExhausted, Unavailable
from servicekit.tls import Identity
from tests.integration.gateway.jobs.conftest import ScriptedEncoder, serving, wired
from tests.support.relay import Relay
from tests.support.until import until_async

QUICK = {"retry_seconds": 0.01, "max_retry_seconds": 0.02, "busy_seconds": 0.05}


@contextlib.asynccontextmanager
async def behind_a_relay(jetstream, tmp_path, certs, **retry):
    """The parts of a gateway whose encoder is reached by a relay that can be cut."""
    encoder = ScriptedEncoder()
    async with serving(encoder, certs) as port, contextlib.AsyncExitStack() as stack:
        relay = stack.enter_context(Relay(f"127.0.0.1:{port}"))
        identity = Identity.read(certs / "gateway.crt", certs / "gateway.key", certs / "ca.crt")
        pool = Pool(poll_seconds=0.25)
        pool.add(GrpcEncoder(relay.address, identity.channel_credentials(), ""))
        stack.push_async_callback(pool.close)
        yield await wired(jetstream, tmp_path, pool, encoder, stack, retry=QUICK | retry), relay


def cutting(relay):
    async def step():
        relay.cut()
        await asyncio.sleep(60)

    return step


async def test_a_line_that_is_cut_again_and_again_fails_no_job(jetstream, tmp_path, certs):
    async with behind_a_relay(jetstream, tmp_path, certs) as (works, relay):
        works.encoder.script = [cutting(relay)] * 5
        job = await works.result((await works.manager.submit(await works.caption())).id)
    assert (job.status, job.tasks[0].attempts, works.encoder.tasks) == (Status.COMPLETED, 1, 6)
    told = {one.message for one in job.tasks[0].past}  # to tenants too, whom addresses do not concern
    assert told
    assert all(text.startswith("the encoder went away (") and relay.address not in text for text in told)


async def test_a_task_that_ends_its_encoders_is_given_up(jetstream, tmp_path, certs):
    boots = map(str, itertools.count())
    async with behind_a_relay(jetstream, tmp_path, certs) as (works, relay):

        async def dying():
            works.encoder.boot_id = next(boots)
            await cutting(relay)()

        works.encoder.script = [dying] * 10
        job = await works.result((await works.manager.submit(await works.caption())).id)
    assert (job.status, job.failure.reason, works.encoder.tasks) == (Status.FAILED, "GIVEN_UP", 3)
    assert "the encoder ended" in job.failure.message


@pytest.mark.parametrize("retry", [QUICK])
@pytest.mark.parametrize(
    "fault",
    [
        ResourceExhausted("no space is left", reason="DISK_FULL"),
        Unavailable("the line broke", reason="CUT_OFF"),
        Unavailable("the store is away", reason="STORAGE_UNAVAILABLE"),
    ],
)
async def test_disks_and_lines_are_waited_for(works, fault):
    works.encoder.script = [fault] * 6
    job = await works.result((await works.manager.submit(await works.caption())).id)
    assert (job.status, job.tasks[0].attempts, works.encoder.tasks) == (Status.COMPLETED, 1, 7)


@pytest.mark.parametrize("retry", [QUICK | {"interrupted_seconds": 0}])
async def test_what_does_not_pass_ends_the_wait(works):
    works.encoder.script = [ResourceExhausted("no space is left", reason="DISK_FULL")] * 6
    job = await works.result((await works.manager.submit(await works.caption())).id)
    assert (job.status, job.failure.reason, works.encoder.tasks) == (Status.FAILED, "DISK_FULL", 3)
    assert "no space is left" in job.failure.message
    assert "Given up after 3 tries" in job.failure.message


@pytest.mark.parametrize("end", ["COMPLETED", "FAILED", "CANCELLED"])
async def test_what_a_gateway_stored_that_was_killed_before_it_wrote_it_down_is_deleted(works, end):
    works.encoder.script = [InvalidArgument("no video", reason="BAD_INPUT")] if end == "FAILED" else []
    await works.dispatcher.drain(0)
    wanted = await works.caption()
    job = await works.manager.submit(wanted)
    await works.store.update(job.id, lambda job: model.start_task(job, 0, time.time(), "killed"))
    async with works.assets.create("a.mp4", "", result_id("killed", 0), is_result=True) as writer:
        await writer.write(b"made and lost")
        lost = await writer.commit()
    if end == "CANCELLED":  # before the message came again
        await works.manager.cancel(job.id)
    works.dispatcher.start()
    done = await works.result(job.id)
    assert (done.status, done.tasks[0].superseded) == (end, () if end == "CANCELLED" else ("killed",))

    async def is_gone():
        return lost.id not in await works.assets.bucket.list_objects("assets/")

    await until_async(is_gone)
    if end == "COMPLETED":
        assert (await works.assets.describe(done.tasks[0].asset.removeprefix("assets/"))).size_bytes


async def test_what_the_first_attempt_stored_is_deleted_where_a_second_try_completed_the_task(works):
    stored = {}
    for attempt_id in ("first", "second"):
        async with works.assets.create("a.mp4", "", result_id(attempt_id, 0), is_result=True) as writer:
            await writer.write(b"made")
            stored[attempt_id] = await writer.commit()
    task = Task(status=Status.COMPLETED, asset=stored["second"].name, attempt_id="first", superseded=("second",))
    await delete_orphaned_results(works.assets, task, max_files=0)
    assert list(await works.assets.bucket.list_objects("assets/")) == [stored["second"].id]


async def test_a_result_of_an_attempt_that_was_superseded_and_counts_all_the_same_stays(works):
    async with works.assets.create("a.mp4", "", result_id("first", 0), is_result=True) as writer:
        await writer.write(b"made")
        kept = await writer.commit()
    await delete_orphaned_results(
        works.assets, Task(status=Status.COMPLETED, asset=kept.name, superseded=("first",)), max_files=2
    )
    assert (await works.assets.describe(kept.id)).id == kept.id
