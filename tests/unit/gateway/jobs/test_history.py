"""What is kept of attempts, and told: bounded, in order, with the encoder and why each ended."""

import random
import zlib
from dataclasses import replace

import pytest

from apigpu.v1 import jobs_pb2
from gateway.jobs import history, model
from gateway.jobs.ffmpeg_log import MAX_TASKS, FfmpegLog, TaskLog
from gateway.jobs.history import AttemptEnd
from gateway.jobs.model import Failure, Job, Result, Task
from gateway.jobs.store import GROWTH_BYTES
from gateway.services.attempts import told_attempts, told_log
from servicekit.codec import from_json, to_json

LOST = AttemptEnd("ENCODER_LOST", "encoder a went away")
Outcome = jobs_pb2.JobAttempt.Outcome


def job(*tasks: Task) -> Job:
    return Job(id="a", operation="img2vid", request=b"", batch=True, tasks=tasks or (Task("one"),), created_at=100.0)


def told(found: Job, most: int = 200) -> list[tuple[str, str, float, float, str]]:
    return [
        (one.encoder, Outcome.Name(one.outcome), one.start_time.seconds, one.end_time.seconds, one.reason)
        for one in told_attempts(found, most, str)
    ]


def returned(found: Job, encoder: str, at: float) -> Job:
    started = model.start_task(found, 0, at, "id", encoder)
    return model.return_task(started, 0, at + 1, counted=True, end=LOST)


def test_each_attempt_is_told_with_its_encoder_and_how_it_ended():
    found = model.start_task(returned(job(), "a", 101), 0, 103, "id", "b")
    assert told(found) == [("a", "INTERRUPTED", 101, 102, "ENCODER_LOST"), ("b", "RUNNING", 103, 0, "")]
    done = model.complete_task(found, 0, Result("assets/x", 1, "x264", encode_seconds=1.5), 105)
    assert told(done)[-1] == ("b", "COMPLETED", 103, 105, "")
    last = told_attempts(done, 1, str)[0]
    assert (last.codec, last.encode_seconds, last.item) == ("x264", 1.5, "one")
    assert from_json(Job, to_json(done)) == done
    assert told(done, 0) == []


def test_the_end_of_a_task_is_that_of_its_last_attempt():
    started = model.start_task(job(), 0, 101, "id", "a")
    failed = model.fail_task(started, 0, Failure(3, "no image", "BAD_INPUT"), 102)
    assert told(failed) == [("a", "FAILED", 101, 102, "BAD_INPUT")]
    assert told_attempts(failed, 1, str)[0].message == "no image"
    assert told(model.cancel(started, Failure(1, "cancelled"), 104)) == [("a", "CANCELLED", 101, 104, "")]
    # One that waits again has no attempt that goes on, nor has it one that a cancel ends.
    waiting = returned(job(), "a", 101)
    assert told(waiting) == told(model.cancel(waiting, Failure(1, "cancelled"), 104)) == told(returned(job(), "a", 101))


def test_a_gateway_that_was_gone_and_an_encoder_that_was_overtaken_are_told():
    taken_up = model.start_task(model.start_task(job(), 0, 101, "id", "a"), 0, 105, "other", "b")
    assert told(taken_up)[0] == ("a", "INTERRUPTED", 101, 105, "GATEWAY_GONE")
    overtaken = model.overtake(taken_up, 0, 109, 107, "c")
    done = model.complete_task(overtaken, 0, Result("assets/x", 1), 109)
    assert told(done)[1:] == [("b", "OVERTAKEN", 105, 109, ""), ("c", "COMPLETED", 107, 109, "")]


@pytest.mark.parametrize(("tasks", "kept"), [(1, history.MAX_KEPT), (history.MANY + 1, history.MAX_KEPT_OF_MANY)])
def test_few_attempts_are_kept_with_short_texts(tasks, kept):
    found = job(*(Task(str(number)) for number in range(tasks)))
    for number in range(20):
        started = model.start_task(found, 0, 101.0 + number, "id", f"e{number}")
        end = AttemptEnd("LOST", "x" * 5000)
        found = model.return_task(started, 0, 101.5 + number, counted=True, end=end)
    past = found.tasks[0].past
    assert [one.encoder for one in past] == [f"e{number}" for number in range(20 - kept, 20)]
    assert all(len(one.message) == history.MAX_MESSAGE_CHARACTERS for one in past)


def test_what_was_told_of_a_small_job_adds_little_to_its_record():
    before = Job(id="a" * 32, operation="img2vid", request=b"", batch=False, tasks=(Task(),), created_at=100.123)
    done = model.complete_task(model.start_task(before, 0, 101.123, "id", "gpu-desk:50052"), 0, Result("a", 1), 105.123)
    plain = model.with_task(done, 0, encoder="", ended_at=None)
    assert len(to_json(done)) - len(to_json(plain)) <= 60


def test_the_log_has_the_newest_of_each_task_the_newest_last():
    found = FfmpegLog()
    for number in range(MAX_TASKS + 2):
        found = found.after(TaskLog(number, 100.0 + number, f"text {number}", "desk"))
    found = found.after(TaskLog(5, 200.0, "anew"))
    logs = list(told_log(job(*(Task(str(number)) for number in range(6))), found, str))
    assert len(logs) == MAX_TASKS
    assert (logs[-1].task, logs[-1].item, logs[-1].text, logs[-1].time.seconds) == (5, "5", "anew", 200)
    assert [one.item for one in logs if one.task > 5] == ["", "", "", ""]


@pytest.mark.parametrize(("tasks", "request_bytes"), [(1, 700_000), (51, 350_000), (500, 200_000)])
def test_a_record_that_is_as_large_as_may_be_has_room_for_attempts(tasks, request_bytes):
    chance = random.Random(1)
    new = replace(job(*(Task(f"item-{number}") for number in range(tasks))), request=chance.randbytes(request_bytes))
    found = new
    for index in range(tasks):
        for at in range(history.MAX_KEPT + 1):
            end = AttemptEnd("ENCODER_LOST", chance.randbytes(history.MAX_MESSAGE_CHARACTERS // 2).hex())
            found = model.start_task(found, index, 1e9 + at, chance.randbytes(16).hex(), f"api-gpu-{chance.random()}")
            found = model.return_task(found, index, 1e9 + at + 0.5, counted=False, end=end)
        found = model.start_task(found, index, 2e9, chance.randbytes(16).hex(), "api-gpu")
        found = model.complete_task(found, index, Result(f"assets/{chance.randbytes(13).hex()}", 1, "x264"), 2e9 + 1)
    most_bytes = len(to_json(new)) + GROWTH_BYTES * tasks
    assert len(zlib.compress(to_json(found), 1)) < most_bytes
