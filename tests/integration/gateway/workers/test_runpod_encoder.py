"""RunPod's queue as an encoder: what a task comes to, whatever RunPod, its workers and gateways do meanwhile."""

import asyncio
import contextlib
from dataclasses import replace

import pytest
import pytest_asyncio

from gateway.assets.store import record_path
from gateway.workers.base import EncoderBusy, EncoderLost, EncoderRefuses, InputFailed
from gateway.workers.tickets import AttemptTicket, Tickets
from servicekit.chunks import BESIDE_FURTHER
from servicekit.errors import Aborted, Cancelled, DataLoss, DeadlineExceeded, InvalidArgument, NotFound, Unavailable
from servicekit.tasks import cancel_and_wait
from tests.emulators.runpodmanagement import CATALOG, card
from tests.integration.gateway.workers.conftest import RESULT, TIMEOUTS, failing, fetched, put, summary, work
from tests.support.seen import Seen
from tests.support.until import until, within

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def hang(asked, report):
    await asyncio.sleep(60)


def state(stage):
    return [job.state for job in stage.runpod.queue.jobs.values()]


@contextlib.asynccontextmanager
async def running(stage, encoder, job, seen, handler=hang):
    """The run of a job that a worker has taken."""
    async with stage.runpod.worker(handler):
        task = asyncio.create_task(encoder.run(job, seen))
        await until(lambda: "started" in seen.told)
        yield task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_inputs_go_out_and_the_result_comes_back_as_an_asset(stage, encoder):
    seen, job = Seen(), await stage.job()
    async with stage.runpod.worker(work):
        outcome = await encoder.run(job, seen)
    assert work.inputs == [b"input", b"subtitles"]
    assert await stage.content(outcome.asset_id) == RESULT
    assert (outcome.summary.frames, outcome.summary.codec) == (2, "x264")
    assert (await stage.assets.describe(outcome.asset_id)).filename == "caption.mp4"
    # Until it is recorded the result can be taken up again.
    assert await stage.tickets.keys() == [job.id]
    assert await encoder.can_resume(job.id)
    await encoder.release(job.id)
    assert await stage.tickets.keys() == []
    assert not await encoder.can_resume(job.id)


async def test_a_task_that_waits_tells_whether_a_worker_starts(stage, encoder):
    seen, job = Seen(), await stage.job()
    task = asyncio.create_task(encoder.run(job, seen))
    await until(lambda: seen.is_starting)
    async with stage.runpod.worker(work):
        await task
    assert (seen.told[:2], seen.is_starting[0]) == (["waiting", "started"], True)


async def test_a_task_behind_others_waits_for_a_worker(stage, encoder):
    seen = Seen()
    async with running(stage, encoder, await stage.job(key="0.1"), Seen()):
        waiting = asyncio.create_task(encoder.run(await stage.job(), seen))
        await until(lambda: len(seen.is_starting) > 3)
        await cancel_and_wait(waiting)
    assert set(seen.is_starting) == {False}


@pytest_asyncio.fixture(loop_scope="module")
async def short(stage):
    """An encoder whose tasks ask at once whether a card is in stock, and again at each look."""
    made = stage.encoder(replace(TIMEOUTS, shortage_seconds=0, stock_seconds=0))
    stage.runpod.management.add(stage.runpod.endpoint_id)
    yield made
    stage.runpod.management.endpoints.clear()
    stage.runpod.management.cards = list(CATALOG)
    stage.runpod.management.retired_status = 0
    await made.close()


async def test_a_task_without_a_card_in_stock_says_so_and_no_longer_when_there_is_one(stage, short):
    stage.runpod.management.set_stock("NONE")
    seen = Seen()
    task = asyncio.create_task(short.run(await stage.job(), seen))
    await until(lambda: seen.reasons)
    assert seen.reasons[0].startswith("RunPod has no card of the endpoint in stock now (NVIDIA L4, ")
    assert seen.is_starting[-1] is False
    stage.runpod.management.set_stock("LOW")
    await until(lambda: seen.is_starting[-1])
    async with stage.runpod.worker(work):
        await task


@pytest.mark.parametrize("fault", ["no right", "retired", "no such endpoint", "processors"])
async def test_a_stock_that_is_not_known_is_no_shortage(stage, short, fault):
    stage.runpod.management.set_stock("NONE")
    if fault == "no right":
        stage.runpod.faults.storm = frozenset({"management"})
    elif fault == "retired":
        stage.runpod.management.retired_status = 404
    elif fault == "no such endpoint":
        stage.runpod.management.endpoints.clear()
    else:
        stage.runpod.management.add(stage.runpod.endpoint_id, gpu=None)
    assert await short.shortage() == ""
    assert bool(short.stock.fault) == (fault == "retired")


async def test_cards_that_are_excluded_or_of_other_pools_do_not_count(stage, short):
    stage.runpod.management.cards = [
        card("NVIDIA L4", "AMPERE_24", "NONE"),
        card("NVIDIA GeForce RTX 3090", "AMPERE_24", "HIGH"),
        card("NVIDIA GeForce RTX 4090", "ADA_24", "HIGH"),
    ]
    gpu = {"pools": ["AMPERE_24"], "allowedCudaVersions": [], "minCudaVersion": None}
    stage.runpod.management.add(stage.runpod.endpoint_id, gpu=gpu)
    assert await short.shortage() == ""
    stage.runpod.management.add(stage.runpod.endpoint_id, gpu=gpu | {"excludedTypes": ["NVIDIA GeForce RTX 3090"]})
    assert "(NVIDIA L4)" in await short.shortage()


async def test_a_task_that_nobody_takes_is_taken_back(stage):
    encoder = stage.encoder(replace(TIMEOUTS, queue_seconds=1.0))
    seen, job = Seen(), await stage.job()
    with pytest.raises(EncoderBusy, match="No worker"):
        await encoder.run(job, seen)
    assert (state(stage), seen.told, await stage.tickets.keys()) == (["CANCELLED"], ["waiting"], [])
    await encoder.close()


async def test_a_task_of_which_runpod_tells_nothing_is_not_waited_for_for_ever(stage):
    encoder, seen = stage.encoder(replace(TIMEOUTS, queue_seconds=2.0)), Seen()
    task = asyncio.create_task(encoder.run(await stage.job(), seen))
    await until(lambda: seen.told)
    stage.runpod.faults.storm = frozenset({"status"})
    with pytest.raises(EncoderBusy, match="No worker"):
        await within(task)
    await encoder.close()


async def test_what_the_worker_says_is_wrong_reaches_the_caller_with_its_field(stage, encoder):
    fault = {"code": 3, "message": "url_srt: no subtitles", "reason": "BAD", "fields": {"url_srt": "no subtitles"}}
    async with stage.runpod.worker(failing(**fault)):
        with pytest.raises(InvalidArgument, match="url_srt: no subtitles") as raised:
            await encoder.run(await stage.job(), Seen())
    assert (raised.value.reason, raised.value.fields) == ("BAD", {"url_srt": "no subtitles"})
    assert await stage.tickets.keys() == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"code": 8, "message": "full", "reason": "DISK_FULL"}, EncoderLost),
        ({"code": 8, "message": "too many at once", "reason": "BUSY"}, EncoderLost),
        ({"code": 6, "message": "another", "reason": "OTHER_RESULT"}, EncoderLost),
        ({"code": 1, "message": "nobody waits", "reason": "GONE"}, EncoderLost),
        ({"code": 4, "message": "url_srt: slow", "fields": {"url_srt": "slow"}}, InputFailed),
        ({"code": 4, "message": "over the wall time"}, DeadlineExceeded),
        ({"error_type": "<class 'KeyError'>", "error_message": "boom"}, EncoderLost),
        ({"code": 99, "message": "what"}, EncoderLost),
    ],
)
async def test_faults_of_workers(stage, encoder, fault, error):
    async with stage.runpod.worker(failing(**fault)):
        with pytest.raises(error):
            await encoder.run(await stage.job(), Seen())


async def test_a_run_that_takes_too_long_is_ended_by_runpod(stage):
    stage.runpod.rules.least_execution_timeout_ms = 0
    encoder = stage.encoder(replace(TIMEOUTS, max_seconds=0.2))
    async with stage.runpod.worker(hang):
        with pytest.raises(DeadlineExceeded, match="RUNPOD_MAX_TIMEOUT"):
            await encoder.run(await stage.job(), Seen())
    assert state(stage) == ["TIMED_OUT"]
    await encoder.close()


async def test_a_run_that_somebody_else_cancels_is_lost(stage, encoder):
    async with running(stage, encoder, await stage.job(), Seen()) as task:
        (job,) = stage.runpod.queue.jobs.values()
        stage.runpod.queue.cancel(job)
        with pytest.raises(EncoderLost, match="by somebody else"):
            await task


async def test_cancelling_ends_the_run_and_closes_its_links(stage, encoder):
    job_id = (asked := await stage.job()).id
    async with running(stage, encoder, asked, Seen()) as task:
        (job,) = stage.runpod.queue.jobs.values()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (state(stage), await encoder.can_resume(job_id)) == (["CANCELLED"], False)
        # The sweep finds it, should its result have come.
        assert await encoder.resumable_tasks() == [job_id]
        assert (await put(job.input["resultUrl"])).status_code == 410
        assert (await fetched(job.input["inputUrls"][0])).status_code == 410


async def test_a_run_whose_id_is_still_on_its_way_is_cancelled_too(stage, encoder):
    stage.runpod.faults.run_answer_delay_seconds = 0.3
    task = asyncio.create_task(encoder.run(await stage.job(), Seen()))
    await until(lambda: stage.runpod.queue.jobs)
    await cancel_and_wait(task)
    assert (state(stage), task.cancelled()) == (["CANCELLED"], True)


@pytest.mark.parametrize("is_forgotten", [True, False])
@pytest.mark.parametrize("is_told", [True, False])
async def test_a_result_that_another_gateway_has_recorded_outlives_who_follows(stage, encoder, is_forgotten, is_told):
    """Who follows is cancelled by the end of the job, or told so by the record when a worker starts."""
    job, seen = await stage.job(), Seen(fault=Cancelled("over"))
    follower = asyncio.create_task(encoder.run(job, seen))
    await until(lambda: "waiting" in seen.told)
    asset_id = (await stage.tickets.get(job.id)).asset_id
    await put(next(iter(stage.runpod.queue.jobs.values())).input["resultUrl"])
    if is_forgotten:
        await encoder.release(job.id)
    if not is_told:
        follower.cancel()
    async with stage.runpod.worker(hang) if is_told else contextlib.nullcontext():
        with pytest.raises(Cancelled if is_told else asyncio.CancelledError):
            await follower
    assert await stage.content(asset_id) == RESULT
    await encoder.abandon(job.id, f"assets/{asset_id}")
    assert (await stage.content(asset_id), await encoder.resumable_tasks()) == (RESULT, [])


async def test_a_result_that_came_for_a_job_that_is_over_goes_with_the_sweep(stage, encoder):
    job, seen, before = await stage.job(), Seen(), await stage.stored()
    task = asyncio.create_task(encoder.run(job, seen))
    await until(lambda: "waiting" in seen.told)
    await put(next(iter(stage.runpod.queue.jobs.values())).input["resultUrl"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await encoder.abandon(job.id, "")
    assert (await stage.stored(), await encoder.resumable_tasks()) == (before, [])


async def test_a_job_that_is_over_when_a_worker_takes_it_ends_the_run(stage, encoder):
    async with stage.runpod.worker(hang):
        with pytest.raises(Cancelled):
            await encoder.run(await stage.job(), Seen(fault=Cancelled("over")))
    assert state(stage) == ["CANCELLED"]


async def test_a_gateway_that_stops_leaves_the_run_to_the_next_one(stage, encoder):
    seen, job = Seen(), await stage.job()
    async with stage.runpod.worker(slow) as _:
        task = asyncio.create_task(encoder.run(job, seen))
        await until(lambda: "started" in seen.told)
        seen.is_shutting_down = True
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        next_one = stage.encoder()
        assert await next_one.can_resume(job.id)
        outcome = await next_one.run(job, Seen())
        await next_one.close()
    assert await stage.content(outcome.asset_id) == RESULT
    assert stage.runpod.requests["run"] == 1


async def slow(asked, report):
    await asyncio.sleep(0.2)
    return await work(asked, report)


@pytest.mark.parametrize("fault", [Unavailable("the store is away"), Aborted("changing too fast")])
async def test_a_run_and_its_result_outlive_a_moment_without_the_gateways_store(stage, encoder, fault):
    job = await stage.job()
    async with stage.runpod.worker(work):
        with pytest.raises(type(fault)):
            await encoder.run(job, Seen(fault=fault))
        ticket = await stage.tickets.get(job.id)
        outcome = await encoder.run(job, Seen())
    assert (outcome.asset_id, await stage.content(outcome.asset_id)) == (ticket.asset_id, RESULT)
    assert (stage.runpod.requests["run"], stage.runpod.requests["cancel"], state(stage)) == (1, 0, ["COMPLETED"])


async def test_a_result_that_came_outlives_a_moment_without_the_gateways_store(stage, encoder):
    job = await stage.job()
    await stage.tickets.issue(job.id, old := AttemptTicket.new(job))
    await put((await stage.task_links.remote_task(job, old)).result_url)
    with pytest.raises(Unavailable):
        await encoder.run(job, Seen(fault=Unavailable("the store is away")))
    assert (await encoder.run(job, Seen())).asset_id == old.asset_id


class Answerless(Tickets):
    """The store falls silent at the first run that is to be written down; `is_written`: it has done so all the same."""

    def __init__(self, records, is_written):
        super().__init__(records)
        self.is_silent, self.is_written = True, is_written

    async def note_run(self, key, ticket, run_id):
        if not self.is_silent:
            return await super().note_run(key, ticket, run_id)
        self.is_silent = False
        if self.is_written:
            await super().note_run(key, ticket, run_id)
        raise Unavailable("the store is away")


@pytest.mark.parametrize("is_written", [True, False])
async def test_a_run_whose_ticket_cannot_be_written_is_paid_once_if_it_was_all_the_same(stage, is_written):
    tickets = Answerless(await stage.jetstream.key_value("tickets"), is_written)
    job, encoder = await stage.job(), replace(stage, tickets=tickets).encoder()
    with pytest.raises(Unavailable):
        await encoder.run(job, Seen())
    first = await stage.tickets.get(job.id)
    async with stage.runpod.worker(work):
        outcome = await encoder.run(job, Seen())
    assert (outcome.asset_id == first.asset_id, stage.runpod.requests["run"]) == (is_written, 1 if is_written else 2)
    assert stage.runpod.requests["cancel"] == 0
    await encoder.close()


async def test_a_gateway_killed_before_it_knew_of_the_run_pays_nothing_twice(stage, encoder):
    job = await stage.job()
    old = AttemptTicket.new(job)
    await stage.tickets.issue(job.id, old)
    payload = await stage.task_links.remote_task(job, old)
    assert not await encoder.can_resume(job.id)
    async with stage.runpod.worker(work):
        await encoder.run(job, Seen())
    # The worker that has the lost run stops at its first look.
    assert (await fetched(payload.input_urls[0])).status_code == 410
    assert (await put(payload.result_url)).status_code == 410


async def test_a_result_that_came_before_the_run_was_known_is_taken(stage, encoder):
    job = await stage.job()
    old = AttemptTicket.new(job)
    await stage.tickets.issue(job.id, old)
    await put((await stage.task_links.remote_task(job, old)).result_url)
    assert await encoder.can_resume(job.id)
    outcome = await encoder.run(job, Seen())
    assert (outcome.asset_id, stage.runpod.requests["run"]) == (old.asset_id, 0)


async def test_a_result_whose_record_is_damaged_is_made_again(stage, encoder):
    job = await stage.job()
    old = AttemptTicket.new(job)
    await stage.tickets.issue(job.id, old)
    await put((await stage.task_links.remote_task(job, old)).result_url)
    await stage.assets.bucket.put(record_path(old.asset_id), b"{")
    assert not await encoder.can_resume(job.id)
    async with stage.runpod.worker(work):
        assert (await encoder.run(job, Seen())).asset_id != old.asset_id


@pytest.mark.parametrize("has_result", [True, False])
async def test_a_run_that_runpod_knows_no_more(stage, encoder, has_result):
    stage.runpod.rules.result_seconds = 0

    async def done(asked, report):
        return await work(asked, report) if has_result else {"summary": summary()}

    job, seen = await stage.job(), Seen()
    async with stage.runpod.worker(done):
        with contextlib.nullcontext() if has_result else pytest.raises(EncoderLost, match="dropped the run"):
            outcome = await encoder.run(job, seen)
            assert await stage.content(outcome.asset_id) == RESULT
            assert outcome.summary.size_bytes == len(RESULT)


FURTHER = {"further": [{"item": "film", "isResult": True, "part": "AAE="}]}


@pytest.mark.parametrize("has_result", [True, False])
async def test_a_task_answers_with_further_ones(stage, encoder, has_result):
    async def plans(asked, report):
        if has_result:
            await put(asked["resultUrl"], **{"content-type": BESIDE_FURTHER})
        return {"summary": FURTHER | (summary() if has_result else {})}

    job = await stage.job()
    async with stage.runpod.worker(plans):
        outcome = await encoder.run(job, Seen())
    assert [task.part for task in outcome.summary.further] == [b"\0\1"]
    assert bool(outcome.asset_id) is has_result


async def test_what_was_put_for_further_tasks_is_no_result_without_them(stage, encoder):
    stage.runpod.rules.result_seconds = 0

    async def plans(asked, report):
        await put(asked["resultUrl"], **{"content-type": BESIDE_FURTHER})
        return {"summary": FURTHER | summary()}

    async with stage.runpod.worker(plans):
        with pytest.raises(EncoderLost, match="dropped the run"):
            await encoder.run(await stage.job(), Seen())
    job = await stage.job()
    ticket = AttemptTicket.new(job)
    await stage.tickets.issue(job.id, ticket)
    await put((await stage.task_links.remote_task(job, ticket)).result_url, **{"content-type": BESIDE_FURTHER})
    assert not await encoder.can_resume(job.id)


async def test_a_further_task_goes_out_with_what_it_is(stage, encoder):
    asked = []

    async def sees(task, report):
        asked.append(task["task"])
        return await work(task, report)

    job = replace(await stage.job(), operation=None, part=b"\0\1", codec="nvenc")
    async with stage.runpod.worker(sees):
        await encoder.run(job, Seen())
    assert [asked[0].get(name) for name in ("operation", "part", "codec")] == [None, "AAE=", "nvenc"]


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ({"summary": summary()}, "NO_RESULT"),
        ({"summary": summary(b"other")}, "DIGEST_MISMATCH"),
        ("what", "NO_SUMMARY"),
    ],
)
async def test_an_output_that_the_result_does_not_bear_out_is_no_result(stage, encoder, output, reason):
    async def lies(asked, report):
        if reason != "NO_RESULT":
            await put(asked["resultUrl"])
        return output

    before = await stage.stored()
    async with stage.runpod.worker(lies):
        job = await stage.job("https://example.com/a")
        with pytest.raises(DataLoss) as raised:
            await encoder.run(job, Seen())
    assert raised.value.reason == reason
    assert await stage.stored() == before


async def test_a_worker_that_dies_costs_a_try_of_runpods_then_one_of_ours(stage, encoder):
    seen, job = Seen(), await stage.job()
    task = asyncio.create_task(encoder.run(job, seen))
    async with stage.runpod.worker(hang, "w1"):
        await until(lambda: seen.told[-1:] == ["started"])
    await until(lambda: seen.told[-1:] == ["waiting"])
    async with stage.runpod.worker(hang, "w2"):
        await until(lambda: state(stage) == ["IN_PROGRESS"])
    with pytest.raises(EncoderLost, match="timed out after 1 retries"):
        await task
    assert seen.told.count("started") == 1


async def test_an_input_that_is_gone_fails_before_anything_is_paid(stage, encoder):
    job = await stage.job("assets/" + "a" * 26)
    with pytest.raises(InputFailed) as raised:
        await encoder.run(job, Seen())
    assert isinstance(raised.value.error, NotFound)
    assert raised.value.error.message.startswith("url_video: ")
    assert stage.runpod.requests["run"] == 0


async def test_runpod_away_for_a_while_costs_nothing(stage, encoder):
    seen, job = Seen(), await stage.job()
    async with stage.runpod.worker(slow):
        task = asyncio.create_task(encoder.run(job, seen))
        await until(lambda: "started" in seen.told)
        async with stage.runpod.refusing():
            await asyncio.sleep(0.3)
        stage.runpod.faults.is_down = True
        await asyncio.sleep(0.3)
        stage.runpod.faults.is_down = False
        outcome = await task
    assert await stage.content(outcome.asset_id) == RESULT


@pytest.mark.parametrize("fault", ["refused", "down", "storm", "lost", "key", "endpoint"])
async def test_a_task_that_runpod_does_not_take_goes_back_without_a_try(stage, fault):
    wrong = {"key": {"key": "wrong"}, "endpoint": {"endpoint_id": "nosuch"}}
    encoder, seen = stage.encoder(**wrong.get(fault, {})), Seen()
    stage.runpod.faults.is_down = fault == "down"
    stage.runpod.faults.storm = frozenset({"run"} if fault == "storm" else ())
    stage.runpod.faults.lost_runs = fault == "lost"
    async with stage.runpod.refusing() if fault == "refused" else contextlib.nullcontext():
        with pytest.raises(EncoderBusy) as raised:
            await encoder.run(await stage.job(), seen)
    assert "wrong" not in raised.value.message
    assert isinstance(raised.value, EncoderRefuses) == (fault in wrong)
    assert (seen.told, await stage.tickets.keys()) == ([], [])
    await encoder.close()


async def test_who_loses_the_race_for_a_task_ends_its_run_and_gives_the_task_back(stage, encoder):
    job = await stage.job()
    stage.runpod.faults.delay_seconds = 0.1
    task = asyncio.create_task(encoder.run(job, Seen()))
    await until(lambda: stage.runpod.requests["run"])
    await stage.tickets.issue(job.id, winner := AttemptTicket.new(job))
    with pytest.raises(EncoderBusy, match="another gateway"):
        await task
    assert (state(stage), await stage.tickets.get(job.id)) == (["CANCELLED"], winner)


async def test_a_request_too_large_for_the_queue_is_the_tasks_fault(stage, encoder):
    job = await stage.job()
    job.operation.caption.url_srt = "x" * 10_000_000
    with pytest.raises(Exception, match="the most") as raised:
        await encoder.run(job, Seen())
    assert raised.value.reason == "TOO_LARGE"


async def test_what_a_task_that_has_ended_left_is_ended(stage, encoder):
    job = await stage.job()
    async with running(stage, encoder, job, seen := Seen()) as task:
        seen.is_shutting_down = True
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await encoder.resumable_tasks() == [job.id]
        await encoder.abandon(job.id, "")
        assert (state(stage), await encoder.resumable_tasks()) == (["CANCELLED"], [])


async def test_a_recorded_result_stays_when_its_ticket_is_swept(stage, encoder):
    job = await stage.job()
    async with stage.runpod.worker(work):
        outcome = await encoder.run(job, Seen())
    await encoder.abandon(job.id, f"assets/{outcome.asset_id}")
    assert await stage.content(outcome.asset_id) == RESULT
    assert await encoder.resumable_tasks() == []


async def test_asking_says_why_the_endpoint_does_not_answer(stage):
    for more, text in [({"key": "w"}, "RUNPOD_API_KEY"), ({"endpoint_id": "x"}, "RUNPOD_ENDPOINT_ID")]:
        encoder = stage.encoder(**more)
        with pytest.raises(EncoderBusy, match=text):
            await encoder.capabilities()
        await encoder.close()
