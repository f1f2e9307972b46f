"""The phase that a watcher is told: that of the task that is furthest, of those that have not ended."""

import pytest

from api_gpu.cli.display import describe
from api_gpu.outcomes import Progress, Queued
from apigpu.v1 import jobs_pb2
from gateway.jobs.model import Job, Status, Task
from gateway.jobs.progress import Phase, TaskProgress
from gateway.services.progress import furthest_phase, total_progress

WAITING, COLD, ENCODING = Phase


def job(*statuses):
    return Job("j", "img2vid", b"", True, tuple(Task(status=status) for status in statuses), 0.0)


@pytest.mark.parametrize(
    ("statuses", "heard", "phase"),
    [
        ([Status.IN_QUEUE], {}, WAITING),
        ([Status.IN_QUEUE], {0: COLD}, COLD),
        ([Status.IN_PROGRESS], {}, ENCODING),
        ([Status.IN_PROGRESS, Status.IN_QUEUE], {1: COLD}, ENCODING),
        # What was heard of a try that is over says nothing of the next one.
        ([Status.IN_QUEUE], {0: ENCODING}, WAITING),
        # A worker died, and the provider starts another one.
        ([Status.IN_PROGRESS], {0: COLD}, COLD),
        ([Status.COMPLETED, Status.IN_QUEUE], {0: ENCODING}, WAITING),
    ],
)
def test_the_phase_of_a_job(statuses, heard, phase):
    found = furthest_phase(job(*statuses), {index: TaskProgress(each) for index, each in heard.items()})
    assert found is phase


def test_every_phase_has_its_name_on_the_wire_and_in_words():
    assert {phase.value for phase in Phase} == set(jobs_pb2.Phase.keys()) - {"PHASE_UNSPECIFIED"}
    message = total_progress(job(Status.IN_PROGRESS), {0: TaskProgress(COLD)})
    assert message.phase == jobs_pb2.COLD_START
    assert "an encoder starts" in describe(Progress.from_message(message))
    assert describe(Queued(3, "COLD_START")) == "an encoder starts"
    assert describe(Queued(3)) == "number 3 in the queue"
    assert describe(Queued(3, starts_in_seconds=40.0)) == "number 3 in the queue · starts in about 40 s"
    assert describe(Queued(3, reason="no card", starts_in_seconds=40.0)) == "number 3 in the queue: no card"
    assert "starts" not in describe(Progress(1, 2, 3.0, None, 0, 1))
