"""Further tasks: a task answers with more, and the job goes on with these."""

import time
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import json_format

from apigpu.encoder.v1.encoder_pb2 import ByteRange, FurtherInput, FurtherTask, Summary
from apigpu.v1.story_pb2 import SceneSpan
from apigpu.v1.video_pb2 import Operation
from gateway.jobs import further, graph, model, names
from gateway.jobs.further import PartInput
from gateway.jobs.intermediates import drop_results
from gateway.jobs.model import MAX_WARNINGS, Failure, Job, Result, ResultWarning, Status
from gateway.services.progress import total_progress
from gateway.sources.outline import ByteRanges
from servicekit.codec import from_json, to_json
from servicekit.errors import Internal
from tests.support.growth import assert_grows_gently

URL = "https://example.com/"
FAILURE = Failure(3, "scenes[1].image_url: this is no image", "BAD_INPUT")


def story(count: int = 3) -> Operation:
    scenes = [{"id": f"s{number}", "image_url": f"{URL}{number}", "duracao": 1} for number in range(count)]
    return json_format.ParseDict({"story": {"scenes": scenes, "url_audio": f"{URL}voice"}}, Operation())


def submitted(wanted: Operation) -> Job:
    now, is_graph = time.time(), graph.is_graph(wanted)
    tasks = graph.tasks_of(wanted, 1000)
    kind = wanted.WhichOneof("kind") or ""
    return Job(model.new_id(now), kind, graph.request_of(wanted), False, tasks, 1.0, graph=is_graph)


def asked(path: str) -> FurtherInput:
    return FurtherInput(field=path, request_field=path)


def plan(count: int = 3, part_bytes: int = 4) -> Summary:
    """A scene each, the sound, and what joins them all."""
    scenes = [
        FurtherTask(
            part=bytes(part_bytes) + b"%d" % number,
            inputs=[asked(f"scenes[{number}].image_url"), FurtherInput(field="captions", planned=True)],
            item=f"scene {number + 1}",
            kind="story.scene",
            codec="x264",
            frames=24,
        )
        for number in range(count)
    ]
    sound = FurtherTask(part=b"sound", inputs=[asked("url_audio")], item="sound", kind="story.sound")
    pieces = [FurtherInput(field=f"pieces[{number}]", task=number) for number in range(count)]
    pieces.append(FurtherInput(field="sound", task=count))
    join = FurtherTask(part=b"join", inputs=pieces, item="film", kind="story.join", is_result=True)
    spans = [SceneSpan(id=f"s{number}", start=number, end=number + 1) for number in range(count)]
    return Summary(further=[*scenes, sound, join], scenes=spans, size_bytes=9)


def planned(job: Job, index: int = 0, summary: Summary | None = None, asset: str = "assets/captions") -> Job:
    found = further.expansion(job, index, summary or plan())
    started = model.start_task(job, index, 2.0)
    return further.complete_task(started, index, Result(asset, 0), 3.0, found)


def done(job: Job, *indexes: int, **result: Any) -> Job:
    for index in indexes:
        started = model.start_task(job, index, 4.0)
        job = further.complete_task(started, index, Result(f"assets/{index}", 24, **result), 5.0)
    return job


def ready(job: Job) -> list[int]:
    return [index for index in range(len(job.tasks)) if job.is_ready(index)]


def test_a_job_goes_on_with_what_a_task_answers() -> None:
    job = planned(submitted(story()))
    assert (job.status, job.graph, ready(job)) == (Status.IN_PROGRESS, True, [1, 2, 3, 4])
    assert [(task.item, job.kind(index)) for index, task in enumerate(job.tasks)][1:] == [
        *((f"scene {number}", "story.scene") for number in (1, 2, 3)),
        ("sound", "story.sound"),
        ("film", "story.join"),
    ]
    assert (job.tasks[5].needs, job.tasks[1].needs_codec, job.tasks[5].needs_codec) == ((1, 2, 3, 4), "x264", "")
    job = done(job, 1, 2, 3)
    assert ready(job) == [4]
    assert ready(done(job, 4)) == [5]


def test_each_task_gets_what_it_is_and_where_its_inputs_are() -> None:
    job = done(planned(submitted(story())), 1, 2, 3, 4)
    part, inputs = further.part(job, 2)
    captions = PartInput("assets/captions", ("captions",))
    assert (part, inputs) == (b"\0\0\0\0" + b"1", [PartInput(f"{URL}1", ("scenes[1].image_url",)), captions])
    _, inputs = further.part(job, 5)
    assert [entry.source for entry in inputs] == ["assets/1", "assets/2", "assets/3", "assets/4"]
    assert inputs[3].fields == ("sound",)


def test_a_source_that_several_fields_name_is_one_input() -> None:
    wanted = story()
    wanted.story.scenes[1].image_url = wanted.story.scenes[0].image_url
    summary = plan()
    summary.further[0].inputs.append(asked("scenes[1].image_url"))
    _, inputs = further.part(planned(submitted(wanted), summary=summary), 1)
    assert inputs[0] == PartInput(f"{URL}0", ("scenes[0].image_url", "scenes[1].image_url"))


def test_the_result_is_that_of_the_task_which_has_it() -> None:
    job = done(planned(submitted(story())), 1, 2, 3, 4, 5)
    assert (job.status, job.ended_at, job.kept, names.result_name(job, 5)) == (Status.COMPLETED, 5.0, (5,), "story.mp4")
    assert [(span.id, span.start, span.end) for span in further.scenes(job, 5)][1] == ("s1", 1, 2)
    assert job.intermediates == (0, 1, 2, 3, 4)
    assert drop_results(job, job.intermediates).intermediates == ()


def test_a_name_that_the_caller_gave_is_that_of_the_result() -> None:
    wanted = story()
    wanted.story.output_filename = "holiday.mp4"
    assert names.result_name(planned(submitted(wanted)), 5) == "holiday.mp4"


def test_a_second_answer_changes_nothing() -> None:
    job = submitted(story())
    first = planned(job)
    again = further.complete_task(first, 0, Result("assets/other", 0), 9.0, further.expansion(job, 0, plan(1)))
    assert again == first
    assert from_json(Job, to_json(first)) == first


def test_what_the_end_of_a_task_may_have_made_ready_is_queued_after_it() -> None:
    job = planned(submitted(story()))
    assert list(further.queued_after(job, 0)) == [1, 2, 3, 4, 5]
    assert list(further.queued_after(job, 2)) == [5]
    assert list(further.queued_after(job, 5)) == []


def test_one_failure_ends_the_job_by_the_name_of_its_task() -> None:
    job = done(planned(submitted(story())), 1)
    job = model.fail_task(model.start_task(job, 2, 6.0), 2, FAILURE, 7.0)
    assert job.status is Status.FAILED
    assert job.failure == replace(FAILURE, message=f"scene 2: {FAILURE.message}")
    assert job.intermediates == (0, 1)
    assert further.complete_task(job, 3, Result("assets/late", 1), 8.0) == job


def test_an_attempt_that_did_not_begin_fails_no_task_that_a_second_try_completed() -> None:
    job = done(planned(submitted(story())), 1)
    assert model.fail_task(job, 1, FAILURE, 7.0) == job


def test_a_task_that_fails_before_it_plans_is_told_without_a_name() -> None:
    job = model.fail_task(model.start_task(submitted(story()), 0, 2.0), 0, FAILURE, 4.0)
    assert job.failure == FAILURE


def test_a_cancelled_job_leaves_no_result_of_any_task() -> None:
    job = model.cancel(done(planned(submitted(story())), 1, 4), FAILURE, 6.0)
    assert (job.status, job.intermediates) == (Status.CANCELLED, (0, 1, 4))


def chain() -> Operation:
    """A film, and its cover: the film is kept too."""
    steps = [
        {"id": "film", "story": json_format.MessageToDict(story().story)},
        {"id": "cover", "thumbnail": {"url_video": "step:film"}},
    ]
    return json_format.ParseDict({"chain": {"steps": steps, "keep": ["film", "cover"]}}, Operation())


def test_a_step_of_a_chain_has_the_result_of_its_further_tasks() -> None:
    job = planned(submitted(chain()))
    assert (ready(job), job.tasks[2].item, job.tasks[6].item) == ([2, 3, 4, 5], "film: scene 1", "film")
    assert further.part(job, 2)[1][0].source == f"{URL}0"
    job = done(job, 2, 3, 4, 5)
    assert (ready(job), list(further.queued_after(job, 6))) == ([6], [1])
    job = done(job, 6)
    assert graph.task_operation(job, 1).thumbnail.url_video == "assets/6"
    job = done(job, 1)
    assert (job.status, job.kept, job.intermediates) == (Status.COMPLETED, (6, 1), (0, 2, 3, 4, 5))
    assert names.result_name(job, 6) == "film.mp4"


def test_further_tasks_may_answer_with_further_ones() -> None:
    job = planned(submitted(story()))
    below = FurtherTask(inputs=[asked("scenes[2].image_url")], is_result=True, item="half", kind="story.scene")
    job = planned(job, 3, Summary(further=[below]), "")
    assert (job.provider(3), further.part(job, 6)[1][0].source) == (6, f"{URL}2")
    job = done(job, 1, 2, 4)
    assert ready(job) == [6]
    job = done(job, 6)
    assert (ready(job), list(further.queued_after(job, 6))) == ([5], [5])
    assert [entry.source for entry in further.part(job, 5)[1]] == ["assets/1", "assets/2", "assets/6", "assets/4"]


def test_ranges_are_of_the_version_that_was_planned_with() -> None:
    summary = plan(2)
    summary.further[0].inputs[0].ranges.append(ByteRange(start=0, end=9))
    summary.further[0].inputs[0].source_bytes = 10
    job = submitted(story(2))
    seen = {f"{URL}0": "one", f"{URL}1": "two"}
    job = further.complete_task(job, 0, Result("assets/plan", 0), 2.0, further.expansion(job, 0, summary, seen))
    job = from_json(Job, to_json(job))
    assert further.part(job, 1)[1][0] == PartInput(
        f"{URL}0", ("scenes[0].image_url",), ByteRanges(10, ((0, 9),), "one")
    )
    # Others are read whole, as they are by then.
    assert job.tasks[0].versions == ((f"{URL}0", "one"),)


def wrong(**changes: Any) -> Summary:
    summary = plan()
    for name, value in changes.items():
        setattr(summary.further[0], name, value)
    return summary


def with_input(**source: Any) -> Summary:
    summary = plan()
    summary.further[0].inputs.append(FurtherInput(field="more", **source))
    return summary


WRONG = {
    "no result": Summary(further=plan().further[:1]),
    "two results": wrong(is_result=True),
    "a circle": with_input(task=4),
    "itself": with_input(task=0),
    "a task that is not there": with_input(task=5),
    "a field that is not there": with_input(request_field="scenes[3].image_url"),
    "a field that is no input": with_input(request_field="scenes[0].id"),
    "an input from nowhere": with_input(),
    "a result that is not there": Summary(further=plan().further),
    "a long name": wrong(item="x" * 65),
    "a long codec": wrong(codec="x" * 65),
    "too many": Summary(further=[FurtherTask(is_result=number == 0) for number in range(2000)]),
    "too large": Summary(further=[FurtherTask(is_result=True, part=bytes(5 << 20))]),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_can_be_no_plan_is_refused(name: str) -> None:
    with pytest.raises(Internal) as caught:
        further.expansion(submitted(story()), 0, WRONG[name])
    assert caught.value.reason == "BAD_PLAN"


def test_a_result_has_the_warnings_of_all_that_it_is_made_of() -> None:
    def warned(*names: str) -> tuple[ResultWarning, ...]:
        return tuple(ResultWarning(name, "said", {}) for name in names)

    job = planned(submitted(story()))
    job = done(job, 1, warnings=warned("A", "B"))
    job = done(job, 2, warnings=warned("B", "C"))
    assert [warning.reason for warning in further.result_warnings(job, 5)] == ["A", "B", "C"]
    job = done(job, 3, warnings=warned(*(f"W{number}" for number in range(MAX_WARNINGS))))
    assert len(further.result_warnings(job, 5)) == MAX_WARNINGS


def test_what_made_a_result_is_what_made_its_parts() -> None:
    job = done(planned(submitted(story())), 1, 2, 3, codec="x264", codec_reason="asked for")
    job = done(job, 4, 5, codec="copy")
    assert (further.encoded_task(job, 5).codec, further.encoded_task(job, 0).codec) == ("x264", "")


def test_frames_that_parts_copied_are_those_of_the_result() -> None:
    job = done(planned(submitted(story())), 1, 2, codec="x264", frames_copied=10)
    job = done(job, 3, codec="x264", whole_reason="it was all captions")
    job = done(job, 4, 5, codec="copy")
    found = further.encoded_task(job, 5)
    assert (found.codec, found.frames_copied, found.whole_reason) == ("x264", 20, "")
    job = done(planned(submitted(story())), 1, 2, 3, codec="x264")
    job = done(job, 4, 5, codec="copy", whole_reason="in pieces")
    found = further.encoded_task(job, 5)
    assert (found.frames_copied, found.whole_reason) == (0, "in pieces")


def test_progress_counts_the_frames_of_all_tasks_from_the_first_on() -> None:
    job = planned(submitted(story()))
    told = total_progress(job, {})
    assert (told.frames_done, told.frames_total, told.processed, told.total) == (0, 72, 1, 6)
    job = done(job, 1, 2, 3, 4, 5)
    told = total_progress(job, {})
    assert (told.frames_done, told.frames_total, told.processed) == (72, 72, 6)


def test_the_record_of_a_story_of_500_scenes_is_small() -> None:
    wanted = story(500)
    for number, scene in enumerate(wanted.story.scenes):
        scene.image_url = f"assets/{number:026d}"
    job = planned(submitted(wanted), summary=plan(500, part_bytes=200))
    assert len(to_json(job)) < 128 * 1024
    job = done(job, *range(1, 503), codec="x264", content_type="video/mp4")
    assert len(to_json(job)) < 256 * 1024


def test_a_plan_takes_time_in_step_with_its_tasks() -> None:
    assert_grows_gently(lambda size: (submitted(story(size)), plan(size)), _carry_out, 100)


def _carry_out(given: tuple[Job, Summary]) -> None:
    job, summary = given
    job = planned(job, summary=summary)
    further.part(job, len(job.tasks) - 1)
    further.result_warnings(job, len(job.tasks) - 1)
