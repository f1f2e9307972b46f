"""When waiting jobs are expected to begin."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from gateway.fleet.speeds import TaskSample, TaskSpeeds
from gateway.jobs.model import Job, Task, new_id
from gateway.jobs.progress import Phase, TaskProgress
from gateway.jobs.start_times import LaneStarts, StartTimes, lane_starts, rounded, seconds_left
from gateway.jobs.store import JobIndex

CAPTION = {"caption": 1}
NOW = 1_700_000_000.0


def speeds(**seconds: float) -> TaskSpeeds:
    found = TaskSpeeds()
    for kind, each in seconds.items():
        found = found.after(kind, TaskSample(each - 1)).after(kind, TaskSample(each + 1))
    return found


def test_jobs_begin_as_slots_come_free_one_after_the_other():
    found = lane_starts([], [CAPTION] * 4, [], speeds(caption=10), [3.0, 5.0])
    assert found.seconds == (3.0, 5.0, 13.0, 15.0)
    assert found.each_seconds == 4.0
    assert [found.at(place) for place in (0, 1, 4, 6)] == [None, 3.0, 15.0, 23.0]
    assert lane_starts([], [CAPTION], [], speeds(caption=10), [0.0]).at(1) == 0.0


def test_what_waits_before_them_and_the_turns_of_others_count():
    batch = {"caption": 2, "probe": 1}
    assert lane_starts([batch], [CAPTION], [], speeds(caption=10, probe=2), [0.0]).at(1) == 22.0
    assert lane_starts([], [CAPTION] * 2, [[CAPTION] * 9], speeds(caption=10), [0.0]).seconds == (10.0, 30.0)
    # An other tenant with little has few turns.
    assert lane_starts([], [CAPTION] * 3, [[CAPTION]], speeds(caption=10), [0.0]).seconds == (10.0, 20.0, 30.0)


@pytest.mark.parametrize(("known", "free_in"), [({"probe": 1.5}, [0.0]), ({"caption": 10}, [])])
def test_nothing_is_told_of_what_was_never_seen_or_has_no_encoder(known, free_in):
    assert lane_starts([], [CAPTION], [], speeds(**known), free_in) is None


def test_a_job_of_very_many_tasks_costs_no_more_than_some():
    found = lane_starts([{"img2vid": 1_000_000_000}], [CAPTION], [], speeds(caption=10, img2vid=2), [0.0, 0.0])
    assert found.at(1) == 100.0


def test_many_tenants_with_many_jobs_of_many_tasks_cost_no_more_than_some():
    batch = {"caption": 100}
    found = lane_starts([], [batch] * 100, [[batch] * 100] * 20, speeds(caption=10), [0.0, 0.0])
    assert 1 < len(found.seconds) < 20
    assert found.at(100) == pytest.approx(found.at(1) + 99 * 21 * 500)
    # Of what is not reached nothing is told: at the first place already, or behind it.
    crowd = [[batch] * 100] * 300
    assert lane_starts([], [batch] * 100, crowd, speeds(caption=10), [0.0, 0.0]).at(1) is None
    found = lane_starts([], [batch] * 100, crowd[:150], speeds(caption=10), [0.0, 0.0])
    assert (found.at(1), found.at(2)) == (150 * 500.0, None)


@dataclass
class SlowPool:
    """A pool that takes some seconds to look at, and counts the looks."""

    takes_seconds: float
    now: float = 0.0
    looks: int = 0

    @property
    def members(self):
        self.looks += 1
        self.now += self.takes_seconds
        return [SimpleNamespace(ready=True, busy=0, used=0, slots=1)]


@pytest.mark.parametrize(("takes_seconds", "holds_seconds"), [(0.001, 1.0), (0.1, 10.0)])
def test_estimates_hold_so_long_that_they_take_little_of_the_time(takes_seconds, holds_seconds):
    index, pool = JobIndex(), SlowPool(takes_seconds)
    jobs = [Job(new_id(NOW), "caption", b"", False, (Task(),), NOW, tenant=name) for name in ("acme", "other")]
    for job in jobs:
        index.note(job.id, job)
    store = SimpleNamespace(estimates=SimpleNamespace(speeds=speeds(caption=10)))
    nothing = SimpleNamespace(living=list, monitors={}, running=list)
    fleet = SimpleNamespace(estimate_store=store, controller=nothing, registry=nothing)
    starts = StartTimes(index, pool, nothing, fleet, clock=lambda: pool.now)
    assert [starts.seconds(job) for job in jobs] == [10.0, 10.0]
    pool.now = holds_seconds * 0.9
    assert (starts.seconds(jobs[0]), pool.looks) == (10.0, 2)
    pool.now = holds_seconds * 1.1
    assert (starts.seconds(jobs[0]), pool.looks) == (10.0, 3)


def test_estimates_are_told_coarsely():
    assert [rounded(seconds) for seconds in (0.2, 8.6, 43, 1234)] == [0, 9, 45, 1230]
    assert LaneStarts((), 0.0).at(1) is None


def test_what_is_left_of_a_task_follows_from_its_rate():
    assert seconds_left(TaskProgress(Phase.ENCODING, 25, 125, 50.0)) == 2.0
    assert seconds_left(TaskProgress(Phase.ENCODING, 130, 125, 50.0)) == 0.0
    assert seconds_left(TaskProgress(Phase.ENCODING, 0, 0, 0.0)) is None
    assert seconds_left(TaskProgress(Phase.COLD_START)) is None
