"""What is learned of durations, and what a job is expected to cost."""

import pytest

from gateway.fleet.estimates import PRIOR_TASK_SECONDS, Estimates, RunningMean


def test_before_anything_was_seen_the_prior_holds():
    assert Estimates().task_seconds("caption") == PRIOR_TASK_SECONDS
    assert Estimates().setup_seconds("vast", 120) == 120


def test_a_few_observations_outweigh_the_prior():
    known = Estimates()
    for _ in range(20):
        known = known.with_task("caption", 50).with_setup("vast", 60, 120)
    assert known.task_seconds("caption") == pytest.approx(50, rel=0.1)
    assert known.setup_seconds("vast", 120) == pytest.approx(60, rel=0.1)
    assert known.task_seconds("img2vid") == PRIOR_TASK_SECONDS


def test_an_outlier_moves_little_and_a_lasting_change_is_followed():
    mean = RunningMean(20, RunningMean.MEMORY)
    assert mean.after(100_000).seconds == pytest.approx(22)
    assert mean.after(-5).seconds == pytest.approx(20 - 20 * (2 / 3) / 20)
    for _ in range(100):
        mean = mean.after(200)
    assert mean.seconds == pytest.approx(200, rel=0.02)


def test_the_mean_of_a_queue_goes_by_what_is_in_it():
    known = Estimates({"caption": RunningMean(10), "img2vid": RunningMean(40)})
    assert known.mean_task_seconds({"caption": 2, "img2vid": 1}) == pytest.approx(20)
    assert known.mean_task_seconds({}) == PRIOR_TASK_SECONDS


def test_a_job_costs_its_tasks_and_its_share_of_set_up_and_idling():
    known = Estimates({"img2vid": RunningMean(30)})
    assert known.job_usd({"img2vid": 4}, 0.36) == pytest.approx(0.36 * 120 / 3600)
    assert known.job_usd({"img2vid": 4}, 0.36, slots=2) == pytest.approx(0.36 * 60 / 3600)
    cold = known.job_usd({"img2vid": 4}, 0.36, overhead_seconds=2 * 150)
    assert cold == pytest.approx(0.36 * (120 + 2 * 150) / 3600)
    assert known.job_usd({"img2vid": 4}, 0.0) == 0
