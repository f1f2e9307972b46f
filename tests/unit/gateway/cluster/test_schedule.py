"""Which job is served next: few at once for one host, and hosts in turn."""

from gateway.cluster.schedule import Schedule


def ready(schedule, now, origin_of):
    for job_id in schedule.make_ready(now):
        schedule.wait(job_id, origin_of(job_id))
    return schedule.take()


def test_a_host_has_few_places_and_others_are_called_all_the_same():
    schedule = Schedule(max_per_origin=2, max_open=10)
    for number in range(50):
        schedule.add(f"slow-{number}", 1.0)
    schedule.add("fast-0", 1.0)
    assert sorted(ready(schedule, 1.0, lambda job: job.split("-")[0])) == ["fast-0", "slow-0", "slow-1"]
    assert not schedule.has_place("slow")
    assert schedule.take() == []
    schedule.leave("slow-0")
    assert schedule.take() == ["slow-10"]  # by time, then by id


def test_there_are_only_so_many_calls_in_all():
    schedule = Schedule(max_per_origin=2, max_open=3)
    for number in range(8):
        schedule.add(str(number), 1.0)
    assert len(ready(schedule, 1.0, lambda job: job)) == 3


def test_the_earliest_time_counts_and_a_job_waits_once():
    schedule = Schedule(max_per_origin=1, max_open=3)
    schedule.add("a", 9.0)
    schedule.add("a", 5.0)
    schedule.add("a", 7.0)
    assert (schedule.next_at, schedule.make_ready(4.9)) == (5.0, [])
    assert schedule.make_ready(5.0) == ["a"]
    assert schedule.next_at is None


def test_a_job_that_is_being_called_is_not_called_beside_that():
    schedule = Schedule(max_per_origin=4, max_open=8)
    schedule.add("a", 1.0)
    assert ready(schedule, 1.0, lambda job: "host") == ["a"]
    schedule.add("a", 2.0)
    schedule.add("b", 2.0)
    assert ready(schedule, 2.0, lambda job: "host") == ["b"]
    schedule.leave("a")
    assert schedule.take() == ["a"]
