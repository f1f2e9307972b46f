"""The latest progress of running tasks, as gateways tell each other of it."""

from gateway.jobs.progress import LatestProgress, Phase, TaskProgress
from gateway.jobs.queue import TaskRef
from servicekit.codec import to_json

ENCODING = TaskProgress(Phase.ENCODING, 1, 2)


def test_progress_that_only_a_later_version_knows_is_left_out():
    latest = LatestProgress()
    latest.note(TaskRef("job", 0), to_json(ENCODING))
    latest.note(TaskRef("job", 1), b'{"phase": "PREVIEWING", "frames_done": 1}')
    latest.note(TaskRef("job", 2), b"junk")
    assert latest.of("job") == {0: ENCODING}
    latest.forget("job")
    assert latest.of("job") == {}


def test_of_too_many_jobs_those_are_forgotten_that_told_nothing_for_longest():
    latest = LatestProgress(max_jobs=2)
    for job_id in ("a", "b", "a", "c"):
        latest.note(TaskRef(job_id, 0), to_json(ENCODING))
    assert [bool(latest.of(job_id)) for job_id in ("a", "b", "c")] == [True, False, True]
