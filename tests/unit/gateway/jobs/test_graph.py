"""Chains as graphs of tasks."""

import time
from typing import Any

import pytest
from google.protobuf import json_format

from apigpu.v1.video_pb2 import CaptionRequest, ChainStep, Operation
from gateway.jobs import checks, graph, model, operation
from gateway.jobs.intermediates import drop_results
from gateway.jobs.model import Failure, Job, Result, Status
from servicekit.errors import InvalidArgument
from tests.support.growth import assert_grows_gently

URL = "https://example.com/x"
CAPTION = {"url_video": URL, "url_srt": URL}
FAILURE = Failure(3, "url_video: this is no video", "BAD_INPUT")


def image(name: str) -> dict[str, Any]:
    return {"id": name, "image_url": URL, "duracao": 1}


FILM: list[dict[str, Any]] = [
    {"id": "film", "concat": {"url_videos": ["step:clips", URL, "step:clips[0]"]}},
    {"id": "clips", "img2vid": {"images": [image("a"), image("b")]}},
    {"id": "talk", "caption": {"url_video": "step:film", "url_srt": URL}},
    {"id": "cover", "thumbnail": {"url_video": "step:clips[1]"}},
]


def chain(steps: list[dict[str, Any]], **more: Any) -> Operation:
    return json_format.ParseDict({"chain": {"steps": steps, **more}}, Operation())


def job(steps: list[dict[str, Any]], **more: Any) -> Job:
    wanted = chain(steps, **more)
    tasks = graph.tasks_of(wanted, 100)
    return Job(model.new_id(time.time()), "chain", graph.request_of(wanted), False, tasks, 1.0, graph=True)


def done(found: Job, *indexes: int) -> Job:
    for index in indexes:
        started = model.start_task(found, index, 2.0)
        found = model.complete_task(started, index, Result(f"assets/{index}", frames=1), 3.0)
    return found


def test_each_result_is_a_task_that_needs_those_it_is_made_of() -> None:
    found = job(FILM)
    told = [(task.item, task.kind, task.needs, task.is_kept) for task in found.tasks]
    assert told == [
        ("film", "concat", (1, 2), False),
        ("clips[0]", "img2vid", (), False),
        ("clips[1]", "img2vid", (), False),
        ("talk", "caption", (0,), True),
        ("cover", "thumbnail", (2,), True),
    ]
    assert [index for index in range(5) if found.is_ready(index)] == [1, 2]


def test_a_step_gets_the_assets_of_those_it_needs() -> None:
    found = done(job(FILM), 1, 2)
    assert list(graph.task_operation(found, 0).concat.url_videos) == ["assets/1", "assets/2", URL, "assets/1"]
    assert [index for index in range(5) if found.is_ready(index)] == [0, 4]
    (only,) = graph.task_operation(found, 2).img2vid.images
    assert only.id == "b"


def test_what_is_kept_can_be_named() -> None:
    found = job(FILM, keep=["film", "cover"])
    assert [task.item for task in found.tasks if task.is_kept] == ["film", "cover"]


def test_the_record_holds_each_word_once() -> None:
    steps = [{"id": "a", "caption": {**CAPTION, "words": [{"text": "word", "start": 1, "end": 2}] * 1000}}]
    found = job(steps, max_cost_usd=2)
    assert len(found.request) < 30
    assert operation.budget(Operation.FromString(found.request)) == 2


def test_a_job_completes_with_its_last_task() -> None:
    found = done(job(FILM), 1, 2, 0, 3)
    assert found.status is Status.IN_PROGRESS
    found = done(found, 4)
    assert (found.status, found.ended_at, found.intermediates) == (Status.COMPLETED, 3.0, (0, 1, 2))
    assert drop_results(found, found.intermediates).intermediates == ()


def test_one_failure_ends_the_job_and_leaves_no_result() -> None:
    found = model.fail_task(model.start_task(done(job(FILM), 1), 2, 2.0), 2, FAILURE, 4.0)
    assert (found.status, found.ended_at) == (Status.FAILED, 4.0)
    assert found.failure == Failure(3, "Step clips[1]: url_video: this is no video", "BAD_INPUT")
    assert [task.status for task in found.tasks if not task.needs] == [Status.COMPLETED, Status.FAILED]
    assert {task.failure.reason for task in found.tasks if task.needs and task.failure} == {"STEP_FAILED"}
    assert found.intermediates == (1,)
    assert model.complete_task(found, 0, Result("assets/late", 1), 5.0) == found


def test_a_task_that_took_too_long_is_told_as_such() -> None:
    found = model.fail_task(model.start_task(job(FILM), 1, 2.0), 1, FAILURE, 4.0, timed_out=True)
    assert found.status is Status.TIMED_OUT


def test_a_cancelled_job_leaves_no_result() -> None:
    found = model.cancel(done(job(FILM), 1), FAILURE, 4.0)
    assert (found.status, found.intermediates) == (Status.CANCELLED, (1,))


WRONG: dict[str, tuple[list[dict[str, Any]], str]] = {
    "unknown step": ([{"id": "a", "caption": {**CAPTION, "url_srt": "step:b"}}], "steps[0].caption.url_srt"),
    "no step": ([{"id": "a", "caption": {**CAPTION, "url_video": "step:"}}], "steps[0].caption.url_video"),
    "no index": ([{"id": "a", "thumbnail": {"url_video": "step:a[-1]"}}], "steps[0].thumbnail.url_video"),
    "itself": ([{"id": "a", "thumbnail": {"url_video": "step:a"}}], "steps"),
    "circle": (
        [
            {"id": "a", "thumbnail": {"url_video": "step:b"}},
            {"id": "b", "thumbnail": {"url_video": "step:c"}},
            {"id": "c", "thumbnail": {"url_video": "step:a"}},
        ],
        "steps",
    ),
    "index too high": (
        [{"id": "a", "caption": CAPTION}, {"id": "b", "thumbnail": {"url_video": "step:a[1]"}}],
        "steps[1].thumbnail.url_video",
    ),
    "one of several": (
        [FILM[1], {"id": "b", "thumbnail": {"url_video": "step:clips"}}],
        "steps[1].thumbnail.url_video",
    ),
    "more than a list takes": (
        [
            {"id": "a", "img2vid": {"images": [image(str(n)) for n in range(26)]}},
            {"id": "b", "concat": {"url_videos": ["step:a", "step:a"]}},
        ],
        "steps[1].concat.url_videos",
    ),
    "no operation": ([{"id": "a"}], "steps[0]"),
    "an id that no reference can name": ([{"id": "a[0]", "caption": CAPTION}], "steps[0].id"),
    "a budget of its own": ([{"id": "a", "caption": {**CAPTION, "max_cost_usd": 1}}], "steps[0].caption.max_cost_usd"),
    "too many": ([{"id": "a", "img2vid": {"images": [image(str(n)) for n in range(101)]}}], "steps"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_can_be_no_chain_is_refused_with_its_place(name: str) -> None:
    steps, place = WRONG[name]
    with pytest.raises(InvalidArgument) as caught:
        graph.tasks_of(chain(steps), 100)
    assert list(caught.value.fields) == [place]


def test_an_unknown_step_cannot_be_kept() -> None:
    with pytest.raises(InvalidArgument) as caught:
        graph.tasks_of(chain(FILM, keep=["film", "fim"]), 100)
    assert list(caught.value.fields) == ["keep[1]"]


@pytest.mark.parametrize("steps", [[], [{"id": "a", "caption": {}}], [{"caption": CAPTION}], [FILM[1], FILM[1]]])
def test_each_step_is_held_against_its_operation(steps: list[dict[str, Any]]) -> None:
    with pytest.raises(InvalidArgument):
        checks.check(chain(steps), 100)


def test_a_step_can_be_every_operation_but_a_chain() -> None:
    kinds = Operation.DESCRIPTOR.oneofs_by_name["kind"].fields
    alone = {field.name: field.message_type for field in kinds if field.name != "chain"}
    steps = ChainStep.DESCRIPTOR.oneofs_by_name["kind"].fields
    assert {field.name: field.message_type for field in steps} == alone


def test_other_operations_are_as_they_were() -> None:
    wanted = Operation(caption=CaptionRequest(**CAPTION))
    (task,) = graph.tasks_of(wanted, 1)
    found = Job("0" * 32, "caption", graph.request_of(wanted), False, (task,), 1.0)
    assert graph.task_operation(found, 0) == wanted
    assert (found.kept, found.kind(0), found.intermediates) == ((0,), "caption", ())


def test_a_chain_of_many_results_takes_time_in_step_with_them() -> None:
    def make(size: int) -> Operation:
        images = [{"id": str(number), "image_url": URL, "duracao": 1} for number in range(size)]
        lists = [[f"step:clips[{(number + part) % size}]" for part in range(50)] for number in range(size)]
        joined = [{"id": f"f{number}", "concat": {"url_videos": urls}} for number, urls in enumerate(lists)]
        return chain([{"id": "clips", "img2vid": {"images": images}}, *joined])

    assert_grows_gently(make, lambda wanted: graph.tasks_of(wanted, 1000), 50)
