"""From the queue to an encoder and back: what becomes of a job, whatever happens on the way."""

import asyncio
import contextlib
import os
import signal
import socket
import time

import grpc
import pytest
from prometheus_client import REGISTRY

from apigpu.v1.video_pb2 import CaptionRequest, Img2VidImage, Img2VidRequest, Operation
from gateway.assets.links import LinkSigner
from gateway.fleet.providers.runpod.client import RunpodClient
from gateway.fleet.providers.runpod.encoder import RunpodEncoder
from gateway.fleet.providers.runpod.run import RunTimeouts
from gateway.jobs.listing import JobFilter
from gateway.jobs.manager import MAX_WAITS
from gateway.jobs.model import Status
from gateway.workers.base import EncodeJob, Input
from gateway.workers.grpc import GrpcEncoder
from gateway.workers.pool import Pool
from gateway.workers.tickets import AttemptTicket, TaskLinks, Tickets
from servicekit.chunks import MAX_SMALL_BYTES
from servicekit.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unavailable,
)
from servicekit.tls import Identity
from tests.integration.gateway.jobs.conftest import RESULT, ScriptedEncoder, serving, wired
from tests.support.seen import Seen
from tests.support.until import until, within


async def content(works, name):
    return b"".join([chunk async for chunk in works.assets.read(name.removeprefix("assets/"))])


async def stored(works):
    return set(await works.assets.bucket.list_objects("assets/"))


async def batch(works, ids):
    source = await works.asset()
    return Operation(
        img2vid=Img2VidRequest(images=[Img2VidImage(id=name, image_url=source, duracao=1) for name in ids])
    )


async def test_inputs_reach_the_encoder_and_its_result_is_stored(works):
    job = await works.result((await works.manager.submit(await works.caption())).id)
    assert (job.status, job.tasks[0].frames, job.tasks[0].attempts) == (Status.COMPLETED, 2, 1)
    assert works.encoder.inputs == [b"input", b"subtitles"]
    assert await content(works, job.tasks[0].asset) == RESULT


def sent_bytes():
    return REGISTRY.get_sample_value("api_gpu_transfer_bytes_total", {"direction": "out", "peer": "encoder"})


@pytest.mark.parametrize(
    ("is_known", "size", "came", "chunks"),
    [(True, 1000, 2, 0), (False, 1000, 2, 2), (True, MAX_SMALL_BYTES, 0, 2)],
    ids=["small", "of an encoder of before", "large"],
)
async def test_small_inputs_come_with_their_task(works, is_known, size, came, chunks):
    works.encoder.small_inputs, sent = is_known, sent_bytes()
    source = await works.asset(b"v" * size)
    wanted = Operation(caption=CaptionRequest(url_video=source, url_srt=await works.asset(b"subtitles")))
    job = await works.result((await works.manager.submit(wanted)).id)
    assert job.status is Status.COMPLETED
    assert works.encoder.inputs == [b"v" * size, b"subtitles"]
    assert len(works.encoder.given[0].small_inputs) == came
    assert len(works.encoder.chunks) == chunks
    times = (came > 0) + (chunks > 0)  # an encoder of before is sent them again
    assert sent_bytes() - sent == times * (size + len(b"subtitles"))


async def test_small_inputs_that_are_gone_fail_the_task_by_their_field(works):
    gone = await works.asset(b"video")
    wanted = Operation(caption=CaptionRequest(url_video=gone, url_srt=await works.asset(b"subtitles")))
    await works.assets.bucket.delete(gone)
    job = await works.result((await works.manager.submit(wanted)).id)
    assert (job.status, works.encoder.given) == (Status.FAILED, [])
    assert [name for name, _ in job.tasks[0].failure.fields] == ["url_video"]


async def test_a_result_is_told_before_its_encoder_has_cleaned_up_and_keeps_the_slot_until_then(works):
    works.encoder.cleaned_up = asyncio.Event()
    first = [await works.manager.submit(await works.caption()) for _ in range(2)]
    for job in first:
        assert (await works.result(job.id)).status is Status.COMPLETED
    waiting = await works.manager.submit(await works.caption())
    assert not any(member.free for member in works.pool.members)
    assert (works.encoder.tasks, works.encoder.running) == (2, 2)
    works.encoder.cleaned_up.set()
    assert (await works.result(waiting.id)).status is Status.COMPLETED
    assert works.encoder.overrun == 0


async def test_a_batch_uses_all_slots_and_keeps_its_order(works):
    meeting = asyncio.Barrier(2)
    works.encoder.script = [meeting.wait, meeting.wait]
    job = await works.result((await works.manager.submit(await batch(works, "abcde"))).id)
    assert works.encoder.most == 2
    assert [task.item for task in job.tasks] == list("abcde")
    assert job.count(Status.COMPLETED) == 5


async def test_one_bad_image_fails_alone(works):
    works.encoder.script = [None, InvalidArgument("image_url: this is no image")]
    job = await works.result((await works.manager.submit(await batch(works, "abc"))).id)
    failed = [task for task in job.tasks if task.failure]
    assert (job.status, job.count(Status.COMPLETED), len(failed)) == (Status.COMPLETED, 2, 1)
    assert failed[0].failure.message == "image_url: this is no image"


@pytest.mark.parametrize("step", ["lost", "no end", "corrupt", "no digest"])
async def test_an_encoder_lost_in_mid_task_costs_a_try_and_leaves_nothing(works, step):
    works.encoder.script = [step]
    job = await works.result((await works.manager.submit(await works.caption())).id)
    assert (job.status, job.tasks[0].attempts, works.encoder.tasks) == (Status.COMPLETED, 2, 2)
    assert await stored(works) == {name.removeprefix("assets/") for name in [job.tasks[0].asset, *inputs_of(job)]}


def inputs_of(job):
    caption = Operation.FromString(job.request).caption
    return [caption.url_video, caption.url_srt]


async def test_after_three_tries_the_job_fails_with_the_reason(works):
    works.encoder.script = ["lost"] * 5
    job = await works.result((await works.manager.submit(await works.caption())).id)
    assert (job.status, works.encoder.tasks) == (Status.FAILED, 3)
    assert "Given up after 3 tries" in job.failure.message
    assert "connection reset" in job.failure.message


async def test_a_wait_too_many_is_answered_at_once(works):
    hold = asyncio.Event()
    works.encoder.script = [hold.wait]
    job = await works.manager.submit(await works.caption())
    waits = [asyncio.create_task(works.manager.get(job.id, 300)) for _ in range(MAX_WAITS)]
    await until(lambda: works.manager.waits == MAX_WAITS)
    assert not (await within(works.manager.get(job.id, 300))).status.is_terminal
    hold.set()
    assert {found.status for found in await within(asyncio.gather(*waits))} == {Status.COMPLETED}
    assert works.manager.waits == 0


async def test_a_wait_for_no_job(works):
    with pytest.raises(NotFound):
        await within(works.manager.get("0" * 32, 300))


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


async def test_an_origin_that_cannot_be_reached_is_not_a_failure_of_the_service(works):
    """Tools repeat a request that is answered with a 5xx."""
    url = f"http://127.0.0.1:{closed_port()}/a.mp4"
    operation = Operation(caption=CaptionRequest(url_video=url, url_srt=await works.asset(b"subtitles")))
    job = await works.result((await works.manager.submit(operation)).id)
    assert (job.status, job.failure.reason, job.tasks[0].attempts) == (Status.FAILED, "FETCH_FAILED", 3)
    assert job.failure.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
    assert "url_video: " in job.failure.message


async def test_what_is_wrong_with_the_request_is_not_tried_again(works):
    works.encoder.script = [FailedPrecondition("url_video: no video stream")]
    job = await works.result((await works.manager.submit(await works.caption())).id)
    assert (job.status, job.failure.code, works.encoder.tasks) == (Status.FAILED, 9, 1)


async def test_an_encoder_that_ran_out_of_time_times_the_job_out(works):
    works.encoder.script = [DeadlineExceeded("over the wall time")]
    job = await works.result((await works.manager.submit(await works.caption())).id)
    assert (job.status, job.failure.message) == (Status.TIMED_OUT, "over the wall time")


async def test_an_input_that_is_gone_fails_the_job_and_names_the_field(works):
    wanted = await works.caption()
    await works.assets.delete(wanted.caption.url_srt.removeprefix("assets/"))
    job = await works.result((await works.manager.submit(wanted)).id)
    assert (job.status, job.failure.code) == (Status.FAILED, 5)
    assert job.failure.message.startswith("url_srt: ")
    assert works.encoder.running == 0


async def test_a_source_of_no_known_form_is_refused_at_once(works):
    wanted = Operation(caption=CaptionRequest(url_video="file:///etc/passwd", url_srt="assets/x"))
    with pytest.raises(InvalidArgument, match="url_video: "):
        await works.manager.submit(wanted)


async def test_cancelling_a_running_job_ends_its_call(works):
    works.encoder.script = ["hang"]
    job = await works.manager.submit(await works.caption())
    await until(lambda: works.encoder.running == 1)
    assert (await works.manager.cancel(job.id)).status is Status.CANCELLED
    await within(works.encoder.ended.wait())
    with pytest.raises(FailedPrecondition, match="Job is already cancelled"):
        await works.manager.cancel(job.id)
    # The slot is free again.
    assert (await works.result((await works.manager.submit(await works.caption())).id)).status is Status.COMPLETED


async def test_a_job_cancelled_in_the_queue_never_starts(works):
    gate = asyncio.Event()
    works.encoder.script = [gate.wait, gate.wait]
    first = [await works.manager.submit(await works.caption()) for _ in range(2)]
    await until(lambda: works.encoder.running == 2)
    waiting = await works.manager.submit(await works.caption())
    assert works.store.index.place(waiting.id) == 1
    await works.manager.cancel(waiting.id)
    gate.set()
    for job in first:
        await works.result(job.id)
    await works.result((await works.manager.submit(await works.caption())).id)
    assert works.encoder.tasks == 3


async def test_an_encoder_that_is_full_does_not_cost_a_try(works):
    works.encoder.running = 2  # somebody else's tasks
    job = await works.manager.submit(await works.caption())
    await asyncio.sleep(1.2)
    assert (await works.store.get(job.id)).status is Status.IN_QUEUE
    works.encoder.running = 0
    done = await works.result(job.id)
    assert (done.status, done.tasks[0].attempts) == (Status.COMPLETED, 1)


async def test_an_encoder_that_shuts_down_before_it_took_the_task_does_not_cost_a_try(works):
    works.encoder.refusals = 4
    job = await works.result((await works.manager.submit(await works.caption())).id)
    assert (job.status, job.tasks[0].attempts) == (Status.COMPLETED, 1)


async def test_a_record_that_others_change_too_fast_does_not_cost_the_task(works):
    works.store.max_update_attempts = works.bucket.races = 1
    job = await works.result((await works.manager.submit(await works.caption())).id)
    assert (job.status, job.tasks[0].attempts) == (Status.COMPLETED, 1)


async def test_an_input_that_fails_in_an_unforeseen_way_ends_the_call(works):
    def broken():
        raise RuntimeError("unforeseen")

    (member,) = works.pool.members
    task = EncodeJob("job.0", await works.caption(), [Input("url_video", "assets/broken", broken)])
    with pytest.raises(RuntimeError, match="unforeseen"):
        await within(member.encoder.run(task, Seen()))
    await until(lambda: works.encoder.running == 0)


async def test_a_store_that_is_away_when_the_result_comes_does_not_cost_the_encode(works):
    gate = asyncio.Event()
    works.encoder.script = [gate.wait]
    job = await works.manager.submit(await works.caption())
    await until(lambda: works.store.index.tasks_running)
    os.kill(works.jetstream.server.pid, signal.SIGKILL)
    gate.set()
    await until(lambda: works.encoder.running == 0)
    await asyncio.sleep(2)
    done = await works.result(job.id)
    assert (done.status, works.encoder.tasks) == (Status.COMPLETED, 1)


async def test_a_request_too_large_for_one_record_is_refused(works):
    url = "https://example.com/" + "a" * 8_000
    images = [Img2VidImage(id=str(n), image_url=url, duracao=1) for n in range(20)]
    works.bucket.max_value_bytes = 100_000
    with pytest.raises(InvalidArgument, match="too large"):
        await works.manager.submit(Operation(img2vid=Img2VidRequest(images=images)))
    assert await works.manager.page(JobFilter(), 5, "") == ([], "")


async def test_draining_hands_the_task_back_without_a_try(works):
    works.encoder.script = ["hang"]
    job = await works.manager.submit(await works.caption())
    await until(lambda: works.encoder.running == 1)
    await works.dispatcher.drain(0)
    handed = await works.store.get(job.id)
    assert (handed.tasks[0].status, handed.tasks[0].attempts) == (Status.IN_QUEUE, 0)
    works.dispatcher.start()
    assert (await works.result(job.id)).status is Status.COMPLETED


async def test_a_job_left_between_record_and_queue_is_found_again(works):
    await works.dispatcher.drain(0)
    job = await works.manager.submit(await works.caption())
    attempt = await works.queue.next()
    assert attempt.ref.job_id == job.id
    await attempt.delivery.ack()
    works.dispatcher.start()
    assert (await works.result(job.id)).status is Status.COMPLETED


async def test_jobs_wait_for_an_encoder_that_is_not_there_yet(works, jetstream, tmp_path, certs, unused_tcp_port):
    await works.dispatcher.drain(0)
    identity = Identity.read(certs / "gateway.crt", certs / "gateway.key", certs / "ca.crt")
    async with contextlib.AsyncExitStack() as stack:
        pool = Pool()
        pool.add(GrpcEncoder(f"127.0.0.1:{unused_tcp_port}", identity.channel_credentials(), ""))
        stack.push_async_callback(pool.close)
        late = ScriptedEncoder()
        other = await wired(jetstream, tmp_path, pool, late, stack)
        job = await other.manager.submit(await other.caption())
        await asyncio.sleep(0.5)
        assert (await other.store.get(job.id)).status is Status.IN_QUEUE
        async with serving(late, certs, unused_tcp_port):
            done = await other.result(job.id)
        assert (done.status, done.tasks[0].attempts) == (Status.COMPLETED, 1)


async def test_a_task_that_takes_too_long_is_ended(works, jetstream, tmp_path):
    await works.dispatcher.drain(0)
    works.encoder.script = ["hang"]
    async with contextlib.AsyncExitStack() as stack:
        hasty = await wired(jetstream, tmp_path, works.pool, works.encoder, stack, max_task_seconds=0.5)
        job = await hasty.result((await hasty.manager.submit(await hasty.caption())).id)
    assert (job.status, job.failure.code) == (Status.TIMED_OUT, 4)


class QueuedEncoder(GrpcEncoder):
    """Has tasks wait for a worker first, as providers do."""

    async def run(self, job, events):
        await events.waiting(is_starting=False)
        assert events.limit.when() is None
        return await super().run(job, events)


async def test_the_wait_for_a_worker_is_no_part_of_the_tasks_time(works, jetstream, tmp_path, certs):
    await works.dispatcher.drain(0)
    (member,) = works.pool.members
    identity = Identity.read(certs / "gateway.crt", certs / "gateway.key", certs / "ca.crt")
    async with contextlib.AsyncExitStack() as stack:
        pool = Pool()
        pool.add(QueuedEncoder(member.encoder.address, identity.channel_credentials(), ""))
        stack.push_async_callback(pool.close)
        other = await wired(jetstream, tmp_path, pool, works.encoder, stack)
        job = await other.result((await other.manager.submit(await other.caption())).id)
    assert (job.status, job.tasks[0].attempts) == (Status.COMPLETED, 1)


async def test_links_of_a_lost_run_at_runpod_close_when_another_encoder_has_the_task(works, jetstream, tmp_path):
    await works.dispatcher.drain(0)
    tickets = Tickets(await jetstream.key_value("tickets"))
    client = RunpodClient(url="http://127.0.0.1:1", endpoint_id="e", key="k")
    links = TaskLinks(LinkSigner(b"s" * 32, 60), works.assets, "http://127.0.0.1:1", 60)
    works.encoder.script = [step := asyncio.Event()]
    async with contextlib.AsyncExitStack() as stack:
        runpod = RunpodEncoder(client, tickets, works.assets, links, RunTimeouts(30))
        stack.push_async_callback(runpod.close)
        job = await works.manager.submit(await works.caption())
        # A gateway was killed between asking RunPod for a run and knowing of it.
        await tickets.issue(f"{job.id}.0", AttemptTicket("t" * 26, "a" * 26, "a.mp4", ()))
        await wired(jetstream, tmp_path, works.pool, works.encoder, stack, resumable=[runpod])
        await until(lambda: works.encoder.running)
        assert await tickets.get(f"{job.id}.0") is None
        step.set()


class AskedRunpod(RunpodEncoder):
    asked = 0

    async def can_resume(self, task_id):
        self.asked += 1
        return await super().can_resume(task_id)


async def test_a_ticket_of_a_later_version_does_not_fail_its_task(works, jetstream, tmp_path):
    await works.dispatcher.drain(0)
    bucket = await jetstream.key_value("tickets")
    client = RunpodClient(url="http://127.0.0.1:1", endpoint_id="e", key="k")
    links = TaskLinks(LinkSigner(b"s" * 32, 60), works.assets, "http://127.0.0.1:1", 60)
    async with contextlib.AsyncExitStack() as stack:
        runpod = AskedRunpod(client, Tickets(bucket), works.assets, links, RunTimeouts(30))
        stack.push_async_callback(runpod.close)
        job = await works.manager.submit(await works.caption())
        await bucket.create(f"{job.id}.0", b'{"id": ["later"]}')
        await wired(jetstream, tmp_path, works.pool, works.encoder, stack, resumable=[runpod])
        await until(lambda: runpod.asked >= 2)  # it was returned to the queue, and came again
        assert (await works.store.get(job.id)).status is Status.IN_QUEUE
        await bucket.delete(f"{job.id}.0")
        assert (await works.result(job.id)).status is Status.COMPLETED


async def test_pages_go_from_the_newest_back(works):
    made = [(await works.result((await works.manager.submit(await works.caption())).id)).id for _ in range(5)]
    first, token = await works.manager.page(JobFilter(), 2, "")
    second, token = await works.manager.page(JobFilter(), 2, token)
    third, end = await works.manager.page(JobFilter(), 2, token)
    assert [job.id for job in [*first, *second, *third]] == sorted(made, reverse=True)
    assert end == ""
    assert await works.manager.page(JobFilter(Status.FAILED), 2, "") == ([], "")


async def test_the_index_forgets_what_the_store_has_dropped(works):
    job = await works.result((await works.manager.submit(await works.caption())).id)
    await works.store.prune(time.time())
    assert [found.id for found in (await works.manager.page(JobFilter(), 5, ""))[0]] == [job.id]
    await works.store.prune(time.time() + 3700)
    with pytest.raises(NotFound):
        await works.store.get(job.id)
    assert await works.manager.page(JobFilter(), 5, "") == ([], "")


@pytest.mark.parametrize("job_id", ["", "nope", "../../etc", "a b", "*", ">", "a" * 300])
async def test_an_unknown_id_is_not_found(works, job_id):
    with pytest.raises(NotFound, match="Job ID does not exist"):
        await works.store.get(job_id)


@contextlib.asynccontextmanager
async def beside(works, tmp_path, encoder):
    """A second encoder in the same pool."""
    certs = tmp_path / "certs"
    async with serving(encoder, certs) as port:
        identity = Identity.read(certs / "gateway.crt", certs / "gateway.key", certs / "ca.crt")
        works.pool.add(GrpcEncoder(f"127.0.0.1:{port}", identity.channel_credentials(), "", name="second"))
        await until(lambda: works.pool.ready == 2)
        yield


async def test_an_encoder_that_fails_by_its_own_fault_does_not_get_the_task_again(works, tmp_path):
    """One that fails at once is free at once, and would take every task of the queue."""
    broken, second = works.encoder, ScriptedEncoder()
    broken.script, broken.slots = [Unavailable("the card is lost", reason="CODEC_FAILED")] * 20, 8
    async with beside(works, tmp_path, second):
        jobs = [await works.manager.submit(await works.caption()) for _ in range(4)]
        ended = [await works.result(job.id) for job in jobs]
    assert [job.status for job in ended] == [Status.COMPLETED] * 4
    assert second.tasks == 4
    assert {entry.encoder for job in ended for entry in job.tasks[0].unfit} <= {works.pool.members[0].encoder.name}
    assert all(len(job.tasks[0].unfit) <= 1 for job in ended)


async def test_the_only_encoder_gets_a_task_again_that_it_failed(works):
    works.encoder.script = [Unavailable("the card is lost", reason="CODEC_FAILED")]
    job = await works.result((await works.manager.submit(await works.caption())).id)
    assert (job.status, job.tasks[0].attempts, works.encoder.tasks) == (Status.COMPLETED, 2, 2)


@pytest.mark.parametrize(("given", "told"), [("CODEC_FAILED", "CODEC_FAILED"), ("", "GIVEN_UP")])
async def test_a_job_that_every_attempt_failed_tells_the_reason_of_the_last(works, given, told):
    works.encoder.script = [Unavailable("the card is lost", reason=given)] * 5
    job = await works.result((await works.manager.submit(await works.caption())).id)
    assert (job.status, job.failure.reason, works.encoder.tasks) == (Status.FAILED, told, 3)
    assert "the card is lost" in job.failure.message
