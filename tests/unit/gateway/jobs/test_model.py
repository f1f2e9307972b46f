"""The life of a job, as pure steps."""

import itertools
import json

import pytest

from gateway.jobs import model, names
from gateway.jobs.model import Failure, Job, Result, Status, Task
from servicekit import codec

LOST = Failure(14, "gone")


def job(*tasks: Task, **changes: object) -> Job:
    fields = {"id": "a", "operation": "img2vid", "request": b"\x00\xff", "batch": True, "created_at": 100.0}
    return Job(**fields | {"tasks": tasks or (Task("one"),)} | changes)


def test_a_result_keeps_its_warnings_within_bounds():
    warning = model.ResultWarning("REASON", "text", {"cue": "1"})
    done = model.complete_task(job(), 0, Result("assets/x", 1, warnings=(warning,) * 1000), 101)
    assert done.tasks[0].warnings == (warning,) * model.MAX_WARNINGS


def test_a_record_keeps_types_and_further_results_and_one_of_before_there_were_any_is_read():
    files = (model.ResultFile("sprites.vtt", "assets/y", "text/vtt"),)
    result = Result("assets/x", 1, content_type="image/png", files=files)
    done = model.complete_task(job(batch=False, operation="thumbnail"), 0, result, 101)
    assert codec.from_json(Job, codec.to_json(done)) == done
    assert names.result_files(done, 0) == (model.ResultFile("thumbnail.png", "assets/x", "image/png"), *files)
    stored = json.loads(codec.to_json(done))
    del stored["tasks"][0]["files"], stored["tasks"][0]["content_type"]
    assert names.result_files(codec.from_json(Job, json.dumps(stored).encode()), 0) == ()


def test_results_are_called_by_what_was_asked_for():
    assert names.result_name(job(Task("1"), operation="caption", batch=False), 0) == "caption.mp4"
    named = job(Task("1", content_type="video/mp4", output_name="v1.2 final"), operation="caption", batch=False)
    assert names.result_name(named, 0) == "v1.2 final.mp4"
    assert names.result_name(job(Task("intro.v2")), 0) == "intro.v2.mp4"
    assert names.result_name(job(Task("", content_type="image/jpeg"), operation="frame"), 0) == "frame.jpg"


def test_a_job_goes_from_queue_to_completed_and_keeps_its_times():
    started = model.start_task(job(), 0, 101.5)
    assert (started.status, started.tasks[0].attempts, started.delay_ms(999)) == (Status.IN_PROGRESS, 1, 1500)
    done = model.complete_task(started, 0, Result("assets/x", 48), 104.0)
    assert (done.status, done.ended_at, done.execution_ms(999)) == (Status.COMPLETED, 104.0, 2500)
    assert done.count(Status.COMPLETED) == 1


def test_times_run_on_while_the_job_does():
    assert job().delay_ms(100.25) == 250
    assert job().execution_ms(105) == 0
    assert model.start_task(job(), 0, 101).execution_ms(103) == 2000


def test_a_batch_with_one_failure_completes_and_names_it():
    batch = job(Task("one"), Task("two"))
    batch = model.fail_task(model.start_task(batch, 0, 101), 0, Failure(3, "no image"), 102)
    assert batch.status is Status.IN_PROGRESS
    batch = model.complete_task(model.start_task(batch, 1, 101), 1, Result("assets/x", 1), 103)
    assert (batch.status, batch.count(Status.COMPLETED), batch.failure) == (Status.COMPLETED, 1, None)
    assert batch.tasks[0].failure == Failure(3, "no image")


def test_a_job_of_which_nothing_came_failed_with_the_first_reason():
    failed = model.fail_task(job(), 0, LOST, 102)
    assert (failed.status, failed.failure) == (Status.FAILED, LOST)
    assert model.fail_task(job(), 0, LOST, 102, timed_out=True).status is Status.TIMED_OUT


def test_cancel_ends_what_has_not_ended():
    batch = model.complete_task(job(Task("one"), Task("two")), 0, Result("assets/x", 1), 101)
    cancelled = model.cancel(batch, Failure(1, "cancelled"), 102)
    assert cancelled.status is Status.CANCELLED
    assert [task.status for task in cancelled.tasks] == [Status.COMPLETED, Status.CANCELLED]
    assert cancelled.ended_at == 102


def test_a_cancelled_batch_says_that_it_was_cancelled_and_not_what_failed_before():
    batch = model.fail_task(job(Task("one"), Task("two")), 0, Failure(3, "no image"), 101)
    assert model.cancel(batch, Failure(1, "cancelled"), 102).failure == Failure(1, "cancelled")


def test_a_try_that_does_not_count_is_taken_back():
    before = model.return_task(model.start_task(job(), 0, 101), 0, 101, counted=True)
    started = model.start_task(before, 0, 102)
    assert started.tasks[0].attempts == 2
    assert model.return_task(started, 0, 9.0, counted=False).tasks[0].attempts == 1
    assert model.return_task(started, 0, 9.0, counted=True).tasks[0].attempts == 2


def test_a_task_that_was_not_started_is_not_given_back():
    assert model.return_task(job(), 0, 9.0, counted=False) == job()


STEPS = {
    "start": lambda j: model.start_task(j, 0, 105),
    "return": lambda j: model.return_task(j, 0, 9.0, counted=True),
    "complete": lambda j: model.complete_task(j, 0, Result("assets/other", 1), 105),
    "fail": lambda j: model.fail_task(j, 0, LOST, 105),
    "cancel": lambda j: model.cancel(j, LOST, 105),
}
ENDED = {
    "completed": model.complete_task(job(), 0, Result("assets/x", 1), 101),
    "failed": model.fail_task(job(), 0, LOST, 101),
    "cancelled": model.cancel(job(), LOST, 101),
}


@pytest.mark.parametrize(("step", "ended"), list(itertools.product(STEPS, ENDED)))
def test_nothing_moves_a_job_that_has_ended(step, ended):
    assert STEPS[step](ENDED[ended]) == ENDED[ended]


def test_ids_sort_by_time_and_are_not_guessable():
    early, late = model.new_id(1000.001), model.new_id(1000.002)
    assert early < late
    assert len({model.new_id(5) for _ in range(100)}) == 100
    assert early.isalnum()
