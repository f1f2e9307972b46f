"""Which job is served next: few at once for one host, and hosts in turn."""

from gateway.cluster.schedule import Schedule
from tests.support.growth import assert_grows_gently


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


def test_a_tenant_of_many_slow_hosts_leaves_places_to_others():
    schedule = Schedule(max_per_origin=4, max_open=8)
    for number in range(40):
        schedule.add(f"many-{number}", 1.0)
    taken = ready(schedule, 1.0, lambda job: f"many host{int(job.split('-')[1]) % 10}")
    assert len(taken) == schedule.max_per_tenant == 6
    schedule.add("few-0", 2.0)
    assert ready(schedule, 2.0, lambda job: "few host0") == ["few-0"]
    assert not schedule.has_place("many another-host")
    assert schedule.has_place("few host0")


def with_dead_hosts(count):
    """A schedule in which so many hosts have all their places taken, and more jobs that wait for each."""
    schedule = Schedule(max_per_origin=1, max_open=10**6)
    for number in range(count):
        for job in "ab":
            schedule.add(f"{job}{number}", 1.0)
    ready(schedule, 1.0, lambda job: f"dead host{job[1:]}")
    return schedule


def test_hosts_that_do_not_answer_cost_the_calls_of_others_nothing():
    def call(schedule):
        for number in range(200):
            schedule.add("job", 2.0)
            assert ready(schedule, 2.0, lambda job: "fast host") == ["job"], number
            schedule.leave("job")

    assert_grows_gently(with_dead_hosts, call, 500, most_growth=2.0)
