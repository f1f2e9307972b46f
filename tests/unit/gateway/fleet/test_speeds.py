"""What jobs may take, by tasks that were seen."""

from dataclasses import astuple

import pytest

from gateway.fleet.speeds import REMEMBERED, TaskSample, TaskSpeeds, ValueRange, WorkItem


def test_nothing_is_known_of_what_was_never_seen():
    speeds = TaskSpeeds()
    assert speeds.job_seconds([WorkItem("caption", 100)], 1) is None
    assert "not known" in speeds.basis([WorkItem("caption", 100)])


def test_frames_count_where_they_are_known():
    speeds = TaskSpeeds()
    for _ in range(10):
        speeds = speeds.after("caption", TaskSample(2.0, 100))
    assert speeds.seconds(WorkItem("caption", 1000)) == ValueRange(16.0, 25.0)
    assert speeds.seconds(WorkItem("caption", 0)) == ValueRange(1.6, 2.5)
    assert speeds.basis([WorkItem("caption", 0)]) == "times of 10 tasks of caption"


def test_few_tasks_make_a_wide_range():
    speeds = TaskSpeeds()
    speeds = speeds.after("probe", TaskSample(1.0, 0))
    assert speeds.seconds(WorkItem("probe", 0)) == ValueRange(0.5, 2.0)


def test_the_last_tasks_count():
    speeds = TaskSpeeds()
    for seconds in (100.0, *[1.0] * REMEMBERED):
        speeds = speeds.after("concat", TaskSample(seconds, 0))
    assert speeds.count("concat") == REMEMBERED
    assert speeds.seconds(WorkItem("concat", 0)) == ValueRange(0.8, 1.25)


def test_encoders_side_by_side_take_no_less_than_the_longest_task():
    speeds = TaskSpeeds()
    for _ in range(10):
        speeds = speeds.after("story.scene", TaskSample(1.0, 10))
    scenes = [WorkItem("story.scene", 100), *[WorkItem("story.scene", 20)] * 5]
    assert astuple(speeds.job_seconds(scenes, 1)) == pytest.approx((16.0, 25.0))
    assert astuple(speeds.job_seconds(scenes, 16)) == pytest.approx((8.0, 12.5))


def test_what_only_planned_tells_nothing_of_what_made_frames():
    speeds = TaskSpeeds()
    for sample in [TaskSample(100.0, 1000), TaskSample(0.5, 0)] * 5:
        speeds = speeds.after("caption", sample)
    assert speeds.seconds(WorkItem("caption", 0)) == ValueRange(0.4, 0.625)
    assert speeds.seconds(WorkItem("caption", 100)) == ValueRange(8.0, 12.5)


def test_a_part_that_was_not_seen_yet_takes_as_long_for_a_frame_as_the_whole():
    speeds = TaskSpeeds()
    for _ in range(5):
        speeds = speeds.after("caption", TaskSample(100.0, 1000))
    assert speeds.seconds(WorkItem("caption.piece", 100)) == ValueRange(8.0, 12.5)
    assert speeds.seconds(WorkItem("caption.join", 0)) is None
