"""Which attempts at a task count: what is decided of a task from its record and from what encoders answer."""

import pytest

from gateway.jobs import attempts, model
from gateway.jobs.attempts import EncoderUndecided
from gateway.jobs.model import Interruptions, Job, LostEncoder, Status, Task
from gateway.jobs.policy import JobPolicy
from servicekit.errors import Internal

POLICY = JobPolicy(max_task_seconds=60, max_attempts=3, max_items=10, interrupted_seconds=3600, lost_seconds=60)
NOW = 10_000.0


def lost(*boots, at=NOW - 1):
    return Interruptions(at, len(boots), tuple(LostEncoder("one", boot, at) for boot in boots))


def outcome(task, boot_id, now=NOW):
    try:
        attempts.check(task, lambda _: boot_id, POLICY, now)
    except (Internal, EncoderUndecided) as error:
        return {"GIVEN_UP": "given up", "ABORTED": "undecided"}[error.reason]
    return "goes on"


@pytest.mark.parametrize(
    ("task", "boot_id", "expected"),
    [
        (Task(), "a", "goes on"),
        # The line broke: it is the same process.
        (Task(interruptions=lost(*"aaaaaaaaaa")), "a", "goes on"),
        # It is another one each time: the task may have ended it.
        (Task(interruptions=lost(*"ab")), "c", "goes on"),
        (Task(interruptions=lost(*"abc")), "d", "given up"),
        (Task(attempts=1, interruptions=lost(*"ab")), "c", "given up"),
        (Task(interruptions=lost(*"abcc")), "c", "goes on"),
        # None answers yet.
        (Task(interruptions=lost(*"ab")), None, "goes on"),
        (Task(interruptions=lost(*"abc")), None, "undecided"),
        (Task(interruptions=lost(*"abc", at=NOW - 61)), None, "given up"),
        # Encoders of before tell no process.
        (Task(interruptions=lost(*[""] * 10)), "", "goes on"),
    ],
)
def test_a_connection_that_broke_is_judged_by_the_process_that_answers(task, boot_id, expected):
    assert outcome(task, boot_id) == expected


@pytest.mark.parametrize(
    ("count", "seconds", "expected"),
    [(1, 4000, "goes on"), (2, 3599, "goes on"), (200, 3599, "goes on"), (2, 3600, "given up")],
)
def test_gateways_that_end_are_waited_out_up_to_a_time(count, seconds, expected):
    task = Task(status=Status.IN_PROGRESS, attempts=1, interruptions=Interruptions(NOW - seconds, count))
    assert outcome(task, "a") == expected


def test_a_gateway_that_ended_costs_no_attempt():
    job = Job("0", "caption", b"", False, (Task(),), 0.0)
    for start in range(5):
        job = model.start_task(job, 0, float(start))
    assert job.tasks[0].attempts == 1
    assert job.tasks[0].interruptions == Interruptions(1.0, 4)


def test_what_a_record_names_of_lost_encoders_is_bounded():
    job = Job("0", "caption", b"", False, (Task(),), 0.0)
    for start in range(50):
        started = model.start_task(job, 0, float(start))
        gone = LostEncoder("one", str(start), float(start))
        job = model.return_task(started, 0, 1.0, counted=False, is_interrupted=True, lost=gone)
    assert job.tasks[0].attempts == 0
    assert job.tasks[0].interruptions.count == 50
    assert len(job.tasks[0].interruptions.lost) == model.MAX_LOST


def test_an_encoder_that_was_there_after_the_line_broke_counts_no_more_whatever_ends_it_later():
    task = attempts.without_answered(Task(interruptions=lost(*"aab")), lambda _: "a")
    assert [entry.boot_id for entry in task.interruptions.lost] == ["b"]
    assert outcome(task, "c") == "goes on"
    assert attempts.without_answered(Task(), lambda _: "a") == Task()


def test_pauses_grow_up_to_a_bound():
    counts = [0, 1, 2, 3, 5, 20]
    pauses = [attempts.pause_seconds(Task(interruptions=Interruptions(0.0, count)), POLICY) for count in counts]
    bounds = [min(POLICY.retry_seconds * 2.0**count, POLICY.max_retry_seconds) for count in counts]
    assert all(bound / 2 <= pause <= bound for pause, bound in zip(pauses, bounds, strict=True))
