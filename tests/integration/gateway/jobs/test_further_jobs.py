"""Jobs whose first task answers with further ones, from the queue to encoders and back, whatever happens on the way."""

import time

import pytest

from apigpu.encoder.v1.encoder_pb2 import ByteRange, FurtherInput, FurtherTask, Summary
from apigpu.v1.story_pb2 import Scene
from apigpu.v1.video_pb2 import CaptionRequest, Operation, StoryRequest
from gateway.jobs import further, model
from gateway.jobs.model import Job, Result, Status
from gateway.sources.outline import TAIL_BYTES
from servicekit.chunks import HEAD_BYTES
from servicekit.disk import MIB
from servicekit.errors import FailedPrecondition, InvalidArgument
from tests.integration.gateway.jobs.conftest import RENTED, RESULT, Works
from tests.integration.gateway.jobs.test_dispatcher import content, stored
from tests.support.until import until, until_async


def asked(field: str) -> FurtherInput:
    return FurtherInput(field=field, request_field=field)


def plan(codec: str = "") -> Summary:
    """Two scenes of the video, each with what the planning made, and what joins them."""
    scenes = [
        FurtherTask(
            part=b"scene %d" % number,
            inputs=[asked("url_video"), FurtherInput(field="captions", planned=True)],
            item=f"scene {number + 1}",
            kind="story.scene",
            codec=codec,
            frames=2,
        )
        for number in range(2)
    ]
    pieces = [FurtherInput(field=f"pieces[{number}]", task=number) for number in range(2)]
    join = FurtherTask(part=b"join", inputs=pieces, item="film", kind="story.join", is_result=True)
    return Summary(further=[*scenes, join], size_bytes=1)


async def submitted(works: Works, *script: object) -> tuple[str, Operation]:
    """A job whose first task answers with the plan, and then goes by the script."""
    works.encoder.script = [plan(), *script]
    wanted = await works.caption()
    return (await works.manager.submit(wanted)).id, wanted


async def is_left(works: Works, *names: str) -> None:
    """Wait until nothing is stored but these."""
    expected = {name.removeprefix("assets/") for name in names}

    async def is_clean() -> bool:
        return await stored(works) == expected

    await until_async(is_clean)


def sources(wanted: Operation) -> tuple[str, str]:
    return wanted.caption.url_video, wanted.caption.url_srt


async def test_a_job_goes_on_with_what_its_first_task_answers(works: Works) -> None:
    job_id, wanted = await submitted(works)
    job = await works.result(job_id)
    assert (job.status, job.count(Status.COMPLETED), works.encoder.tasks) == (Status.COMPLETED, 4, 4)
    planning, *scenes, join = works.encoder.given
    assert (planning.operation.WhichOneof("kind"), planning.part) == ("caption", b"")
    assert sorted(task.part for task in scenes) == [b"scene 0", b"scene 1"]
    assert (join.part, join.HasField("operation")) == (b"join", False)
    assert [entry.field for entry in join.inputs] == ["pieces[0]", "pieces[1]"]
    assert sorted(works.encoder.inputs[2:]) == [b"input"] * 2 + [RESULT] * 4
    (kept,) = job.kept
    await is_left(works, *sources(wanted), job.tasks[kept].asset)
    assert await content(works, job.tasks[kept].asset) == RESULT


async def test_a_task_that_plans_needs_no_result_of_its_own(works: Works) -> None:
    only = FurtherTask(part=b"only", inputs=[asked("url_video")], item="film", is_result=True)
    works.encoder.script = [Summary(further=[only])]
    wanted = await works.caption()
    job = await works.result((await works.manager.submit(wanted)).id)
    assert (job.status, job.tasks[0].asset, job.kept) == (Status.COMPLETED, "", (1,))
    await is_left(works, *sources(wanted), job.tasks[1].asset)


@pytest.mark.parametrize("stage", range(4))
async def test_a_cancel_at_each_stage_leaves_nothing(works: Works, stage: int) -> None:
    works.encoder.script = [plan(), None, None, None]
    works.encoder.script[stage] = "hang"
    wanted = await works.caption()
    job_id = (await works.manager.submit(wanted)).id
    await until(lambda: works.encoder.tasks > stage and works.encoder.running > 0)
    await works.manager.cancel(job_id)
    await until(lambda: works.encoder.running == 0 and not works.dispatcher.running)
    await is_left(works, *sources(wanted))


async def test_a_failure_ends_the_rest_at_once_and_leaves_nothing(works: Works) -> None:
    job_id, wanted = await submitted(works, "hang", InvalidArgument("url_video: this is no video"))
    job = await works.result(job_id)
    assert job.failure is not None
    name, _, text = job.failure.message.partition(": ")
    assert (job.status, name[:6], text) == (Status.FAILED, "scene ", "url_video: this is no video")
    await until(lambda: works.encoder.running == 0 and not works.dispatcher.running)
    await is_left(works, *sources(wanted))


async def test_what_cannot_be_carried_out_fails_and_leaves_nothing(works: Works) -> None:
    wanted = await works.caption()
    works.encoder.script = [Summary(further=[FurtherTask(inputs=[asked("url_nothing")], is_result=True)], size_bytes=1)]
    job = await works.result((await works.manager.submit(wanted)).id)
    assert job.failure is not None
    assert (job.status, job.failure.reason, works.encoder.tasks) == (Status.FAILED, "BAD_PLAN", 1)
    await is_left(works, *sources(wanted))


async def test_a_gateway_that_dies_between_record_and_queue_loses_no_task(works: Works) -> None:
    await works.dispatcher.drain(0)
    wanted = await works.caption()
    submitted = await works.manager.submit(wanted)
    captions = await works.asset(RESULT)

    # What the dead gateway did: the answer is recorded, its message is held, and nothing more is queued.
    def complete(job: Job) -> Job:
        found = further.expansion(job, 0, plan())
        return further.complete_task(model.start_task(job, 0, 1.0), 0, Result(captions, 0), time.time(), found)

    await works.store.update(submitted.id, complete)
    assert works.store.index.operations_waiting() == {"story.scene": 2}
    works.dispatcher.start()
    job = await works.result(submitted.id)
    assert (job.status, works.encoder.tasks, len(job.tasks)) == (Status.COMPLETED, 3, 4)


async def test_a_message_that_comes_again_after_the_answer_repeats_nothing(works: Works) -> None:
    job_id, _ = await submitted(works, "hang")
    await until(lambda: works.encoder.tasks == 3 and works.encoder.running == 1)
    again = f"{job_id}.0"
    assert await works.work_queue.put(again)
    await until_async(lambda: works.work_queue.put(again))  # once the first one is done with
    job = await works.store.get(job_id)
    assert (len(job.tasks), works.encoder.tasks) == (4, 3)
    await works.manager.cancel(job_id)


async def test_each_task_is_billed_and_learned_from_as_what_it_is(rented: Works) -> None:
    job_id, _ = await submitted(rented)
    job = await rented.result(job_id)
    assert all([interval.instance for interval in task.usage] == [RENTED.id] for task in job.tasks)
    await until(lambda: set(rented.fleet.estimate_store.estimates.tasks) == {"caption", "story.scene", "story.join"})


async def test_a_job_is_stopped_when_its_further_tasks_cost_too_much(rented: Works) -> None:
    rented.encoder.script = [plan(), "hang", "hang"]
    wanted = await rented.caption()
    wanted.caption.max_cost_usd = 1.0
    job = await rented.result((await rented.manager.submit(wanted)).id)
    assert job.failure is not None
    assert (job.status, job.failure.reason) == (Status.FAILED, "COST_LIMIT")
    await until(lambda: rented.encoder.running == 0)
    await is_left(rented, *sources(wanted))


async def test_a_job_whose_plan_is_expected_to_cost_too_much_ends_with_it(works: Works) -> None:
    asked: list[int] = []

    def check_cost(job: Job) -> None:
        asked.append(len(job.tasks))
        raise FailedPrecondition("max_cost_usd is 1, and the job is expected to cost 2", reason="COST_LIMIT")

    works.dispatcher.executor.check_cost = check_cost
    job_id, wanted = await submitted(works)
    job = await works.result(job_id)
    assert job.failure is not None
    assert (job.status, job.failure.reason, works.encoder.tasks) == (Status.FAILED, "COST_LIMIT", 1)
    assert (asked, len(job.tasks)) == ([4], 1)
    await is_left(works, *sources(wanted))


async def with_codecs(works: Works, *codecs: str) -> None:
    works.encoder.codecs = list(codecs)
    await until(lambda: all(member.codecs == frozenset(codecs) for member in works.pool.members))


async def test_a_task_that_needs_a_codec_goes_to_who_has_it(works: Works) -> None:
    works.encoder.script = [plan("x264")]
    await with_codecs(works, "nvenc", "x264")
    job = await works.result((await works.manager.submit(await works.caption())).id)
    assert job.status is Status.COMPLETED
    assert [task.codec for task in works.encoder.given] == ["", "x264", "x264", ""]


@pytest.mark.parametrize("retry", [{"codec_wait_seconds": 0.0}])
async def test_a_task_whose_codec_is_gone_fails_and_says_so(works: Works) -> None:
    await with_codecs(works, "x264")
    works.encoder.script = [plan("nvenc")]
    wanted = await works.caption()
    job = await works.result((await works.manager.submit(wanted)).id)
    assert job.failure is not None
    assert (job.failure.reason, works.encoder.tasks) == ("CODEC_GONE", 1)
    assert "'nvenc'" in job.failure.message
    await is_left(works, *sources(wanted))


async def test_a_task_waits_for_its_codec_and_lets_others_pass(works: Works) -> None:
    await with_codecs(works, "x264")
    works.encoder.script = [plan("nvenc")]
    job_id = (await works.manager.submit(await works.caption())).id
    await until(lambda: works.encoder.tasks == 1)
    other = await works.result((await works.manager.submit(await works.caption())).id)
    assert (other.status, works.encoder.tasks) == (Status.COMPLETED, 2)
    await with_codecs(works, "x264", "nvenc")
    assert (await works.result(job_id)).status is Status.COMPLETED


def outlined(video: str, srt: str) -> Operation:
    """An operation one of whose inputs may come as an outline."""
    return Operation(story=StoryRequest(scenes=[Scene(url_video=video, duracao=1)], url_srt=srt))


TOO_SMALL = FailedPrecondition("scenes[0].url_video: more of it is needed", reason="OUTLINE_TOO_SMALL")


async def test_a_large_input_is_planned_with_by_its_outline(works: Works) -> None:
    works.encoder.script = [TOO_SMALL]
    size_bytes = 20 * MIB
    video, srt = await works.asset(bytes(size_bytes)), await works.asset(b"subtitles")
    job = await works.result((await works.manager.submit(outlined(video, srt))).id)
    assert (job.status, job.tasks[0].attempts, works.encoder.tasks) == (Status.COMPLETED, 1, 2)
    assert job.tasks[0].past == ()  # nothing went wrong
    first, again = works.encoder.given
    assert [entry.is_outline for entry in first.inputs] == [True, False]
    assert [entry.is_outline for entry in again.inputs] == [False, False]
    assert [len(data) for data in works.encoder.inputs] == [HEAD_BYTES + TAIL_BYTES, 9, size_bytes, 9]
    ends = [offset + size for offset, size in works.encoder.chunks[: works.encoder.chunks.index((0, 9))]]
    assert (HEAD_BYTES in ends, ends[-1]) == (True, size_bytes)


async def test_an_encoder_that_wants_more_than_all_of_an_input_fails_the_task(works: Works) -> None:
    works.encoder.script = [TOO_SMALL, TOO_SMALL]
    job = await works.result((await works.manager.submit(outlined(await works.asset(), await works.asset()))).id)
    assert job.failure is not None
    assert (job.failure.reason, works.encoder.tasks) == ("OUTLINE_TOO_SMALL", 2)


def ranged() -> Summary:
    """A piece of a video of 4,000 bytes, the last 1,000 of which are its index; with a part of what was planned."""
    index = ByteRange(start=3000, end=4000)
    video = FurtherInput(
        field="url_video",
        request_field="url_video",
        ranges=[ByteRange(start=100, end=300), index],
        source_bytes=4000,
        index_ranges=[ByteRange(start=0, end=50), index],
    )
    ranges = [ByteRange(start=6, end=12), ByteRange(start=5990, end=6000)]
    captions = FurtherInput(field="captions", planned=True, planned_ranges=ranges, source_bytes=len(RESULT))
    return Summary(further=[FurtherTask(part=b"piece", inputs=[video, captions], is_result=True)], size_bytes=1)


@pytest.mark.parametrize(("own_indexes", "sent_bytes"), [(True, 200), (False, 1200)])
async def test_no_more_of_a_video_leaves_the_gateway_than_an_encoder_needs(
    works: Works, own_indexes: bool, sent_bytes: int
) -> None:
    works.encoder.own_indexes, works.encoder.script = own_indexes, [ranged()]
    video = await works.asset(bytes(4000))
    wanted = Operation(caption=CaptionRequest(url_video=video, srt_text="1\n00:00:01,000 --> 00:00:02,000\nhello"))
    job = await works.result((await works.manager.submit(wanted)).id)
    assert job.status is Status.COMPLETED
    assert [len(data) for data in works.encoder.inputs[-2:]] == [sent_bytes, 16]
    assert works.encoder.inputs[-1] == RESULT[6:12] + RESULT[-10:]
    assert [entry.is_outline for entry in works.encoder.given[-1].inputs] == [True, True]
