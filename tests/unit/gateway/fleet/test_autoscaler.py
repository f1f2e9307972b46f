"""The autoscaler's rules, one by one. Prices are round: 3.6 dollars an hour is a tenth of a cent a second."""

from dataclasses import replace

from gateway.fleet.autoscaler import Demand, DueTasks, Launch, Offer, Policy, Snapshot, Terminate, Worker, decide

NOW = 1_790_000_000.0
QUIET = Demand(waiting=0, oldest_wait_seconds=0, task_seconds=20)
OFFER = Offer("vast", "1", usd_per_hour=3.6, setup_seconds=50)
OFFERS = [replace(OFFER, id=str(number)) for number in range(1, 9)]
RUNPOD = Offer("runpod", "r", usd_per_hour=7.2, setup_seconds=10)
READY = Worker("w", True, True, 1, 0, 3.6, NOW - 1000, 50, idle_since=NOW - 10)
OWN = Worker("own", False, True, 1, 0, 0.0, 0.0, idle_since=0.0)
POLICY = Policy(maximum=8, idle_seconds=300)


def busy(worker=READY, tasks=1, **changes):
    return replace(worker, busy=tasks, idle_since=None, **changes)


def starting(since=10.0, **changes):
    return replace(READY, is_ready=False, idle_since=None, created_at=NOW - since, **changes)


def waiting(tasks, **changes):
    return replace(QUIET, waiting=tasks, **changes)


def decided(demand=QUIET, workers=(), offers=OFFERS, policy=POLICY, spent=0.0, tick=1.0):
    return decide(Snapshot(NOW, demand, workers, offers, policy, spent, tick))


def launched(*arguments, **named):
    decisions = decided(*arguments, **named)
    assert all(isinstance(decision, Launch) for decision in decisions)
    return [f"{decision.offer.provider} {decision.offer.id}" for decision in decisions]


def terminated(*arguments, **named):
    decisions = decided(*arguments, **named)
    assert all(isinstance(decision, Terminate) for decision in decisions)
    return [(decision.worker, decision.at_once) for decision in decisions]


def test_nothing_to_do_launches_nothing():
    assert decided() == []
    assert decided(workers=[READY, busy(id="b")]) == []


def test_a_task_that_nothing_will_take_gets_an_instance_however_long_its_set_up():
    assert launched(waiting(1)) == ["vast 1"]
    assert launched(waiting(1), offers=[replace(OFFER, setup_seconds=900)]) == ["vast 1"]


def test_a_slow_instance_on_its_way_is_not_doubled_by_a_faster_one():
    assert decided(waiting(1), [starting(since=0, setup_seconds=900)], [RUNPOD]) == []


def test_a_free_slot_or_an_instance_on_its_way_is_enough():
    assert decided(waiting(1), [READY]) == []
    assert decided(waiting(1), [OWN]) == []
    assert decided(waiting(1), [starting()]) == []
    assert decided(waiting(3), [starting(slots=3)]) == []


def test_own_encoders_that_do_not_answer_do_not_count():
    assert launched(waiting(1), [replace(OWN, is_ready=False)]) == ["vast 1"]


def test_as_many_are_rented_as_keep_the_last_wait_within_the_target():
    # One that is ready after 50 s starts one task within 60 s, one with a target of 100 s starts three.
    assert len(launched(waiting(4))) == 4
    assert len(launched(waiting(4), policy=replace(POLICY, target_wait_seconds=100))) == 2
    # A busy one starts tasks after 10, 30 and 50 s.
    assert decided(waiting(3), [busy()]) == []
    assert len(launched(waiting(5), [busy()])) == 2


def test_where_a_set_up_takes_longer_than_the_target_the_wait_counts_from_its_end():
    slow = [replace(offer, setup_seconds=90) for offer in OFFERS]
    # Within 90 + 60 s each starts tasks after 90, 110, 130 and 150 s.
    assert len(launched(waiting(8), offers=slow)) == 2


def test_an_instance_that_comes_up_after_the_work_would_have_begun_is_not_launched():
    slow = replace(OFFER, setup_seconds=200)
    assert decided(waiting(6), [busy()], [slow]) == []
    assert launched(waiting(30), [busy()], [slow]) == ["vast 1"]


def test_a_task_that_has_waited_for_long_brings_an_instance_that_is_sooner_than_those_that_run():
    long = waiting(1, task_seconds=100, oldest_wait_seconds=40)
    assert launched(long, [busy()], [RUNPOD]) == ["runpod r"]
    assert decided(replace(long, waiting=2), [busy(), starting(since=0, id="x")], [RUNPOD]) == []
    assert decided(replace(long, oldest_wait_seconds=5), [busy()], [RUNPOD]) == []


def test_an_overdue_instance_is_waited_for_as_long_as_it_is_late_by_no_more_than_the_target():
    assert decided(waiting(1), [starting(since=100)]) == []
    assert launched(waiting(1), [starting(since=120)]) == ["vast 1"]


def test_never_more_than_the_maximum_counting_those_that_leave():
    assert len(launched(waiting(50), policy=replace(POLICY, maximum=3))) == 3
    assert len(launched(waiting(50), [busy(is_draining=True), OWN], policy=replace(POLICY, maximum=3))) == 2


def test_providers_are_taken_in_order_and_the_next_when_the_first_has_no_more():
    assert launched(waiting(2), offers=[OFFER, RUNPOD]) == ["vast 1", "runpod r"]
    assert launched(waiting(1), offers=[OFFER, RUNPOD]) == ["vast 1"]
    assert launched(waiting(1), offers=[RUNPOD]) == ["runpod r"]


def test_the_dollars_per_hour_are_not_passed_and_a_cheaper_offer_may_fit():
    policy = replace(POLICY, max_usd_per_hour=11.0)
    assert len(launched(waiting(50), policy=policy)) == 3
    assert launched(waiting(50), [busy()], [replace(RUNPOD, usd_per_hour=8), OFFER], policy) == ["vast 1"]


def test_an_instance_is_rented_only_if_the_day_has_money_for_its_set_up_and_a_task():
    policy = replace(POLICY, max_usd_per_day=10.0)  # an instance commits 50 + 20 + 1 s: 0.071 dollars
    assert launched(waiting(1), policy=policy, spent=9.92) == ["vast 1"]
    assert decided(waiting(1), policy=policy, spent=9.93) == []
    assert len(launched(waiting(50), policy=policy, spent=9.7)) == 4
    # What runs goes on costing until then.
    assert decided(waiting(50), [busy()], policy=policy, spent=9.92) == []


def test_an_idle_instance_goes_at_the_timeout():
    assert decided(workers=[replace(READY, idle_since=NOW - 299)]) == []
    assert terminated(workers=[replace(READY, idle_since=NOW - 300)]) == [("w", False)]


def test_an_idle_own_encoder_stays():
    assert decided(workers=[OWN], policy=Policy(maximum=0, max_age_seconds=1, max_usd_per_day=0)) == []


def test_an_idle_instance_that_waiting_tasks_are_about_to_take_stays():
    idle = replace(READY, idle_since=NOW - 400)
    assert decided(waiting(1), [idle]) == []
    assert terminated(waiting(1), [idle, replace(idle, id="x")]) == [("w", False)]


def test_the_minimum_is_rented_and_stays():
    policy = replace(POLICY, minimum=2)
    idle = replace(READY, idle_since=NOW - 400)
    assert launched(policy=policy) == ["vast 1", "vast 2"]
    assert decided(workers=[idle, replace(idle, id="x")], policy=policy) == []
    assert len(terminated(workers=[replace(idle, id=name) for name in "abc"], policy=policy)) == 1
    assert decided(policy=replace(policy, max_usd_per_hour=1)) == []


def test_an_instance_that_is_too_old_takes_no_more_tasks():
    old = replace(READY, created_at=NOW - 6 * 3600)
    assert terminated(workers=[old]) == [("w", False)]
    assert terminated(workers=[busy(old)]) == [("w", False)]
    assert decided(workers=[busy(old, is_draining=True)]) == []
    decisions = decided(workers=[old], policy=replace(POLICY, minimum=1))
    assert [type(decision) for decision in decisions] == [Terminate, Launch]


def test_a_lower_maximum_drains_those_that_are_of_least_use():
    workers = [busy(id="busy"), starting(id="coming"), replace(READY, id="idle")]
    for maximum, gone in ((2, ["idle"]), (1, ["idle", "coming"]), (0, ["idle", "coming", "busy"])):
        assert terminated(workers=workers, policy=Policy(maximum=maximum)) == [(name, False) for name in gone]


def test_a_lower_cap_per_hour_drains():
    workers = [busy(id="a"), busy(id="b")]
    assert terminated(workers=workers, policy=replace(POLICY, max_usd_per_hour=4)) == [("a", False)]


def test_before_the_cap_of_the_day_idle_ones_go_then_busy_ones_take_no_more():
    policy = replace(POLICY, max_usd_per_day=10.0)
    workers = [busy(), replace(READY, id="idle")]  # each commits 20 + 1 s: 0.021 dollars
    assert decided(workers=workers, policy=policy, spent=9.957) == []
    assert terminated(workers=workers, policy=policy, spent=9.96) == [("idle", False)]
    assert terminated(workers=workers, policy=policy, spent=9.985) == [("idle", False), ("w", False)]


def test_tasks_are_stopped_only_where_the_next_tick_would_pass_the_cap():
    policy = replace(POLICY, max_usd_per_day=10.0)
    leaving = busy(is_draining=True)
    assert decided(workers=[leaving], policy=policy, spent=9.9989) == []
    assert terminated(workers=[leaving], policy=policy, spent=9.9991) == [("w", True)]
    assert terminated(workers=[busy()], policy=policy, spent=9.9991) == [("w", True)]


def test_tasks_are_not_stopped_for_the_sake_of_an_instance_that_goes_anyway():
    policy = replace(POLICY, max_usd_per_day=10.0)
    going = replace(READY, id="going", usd_per_hour=7.2, is_draining=True)
    assert decided(workers=[busy(is_draining=True), going], policy=policy, spent=9.998) == []


def test_an_instance_terminated_for_the_cap_is_not_launched_again():
    policy = replace(POLICY, max_usd_per_day=10.0)
    assert decided(waiting(5), [busy(is_draining=True)], policy=policy, spent=9.98) == []
    assert decided(waiting(5), policy=policy, spent=9.98) == []


def due(tasks, left_seconds, others=0):
    return waiting(tasks + others, due=(DueTasks(tasks, left_seconds),))


def test_as_many_are_rented_as_make_a_deadline():
    # One that is ready after 50 s, with tasks of 20 s, ends one by 70 s, two by 90 s, and each 20 s one more.
    assert len(launched(due(8, 70))) == 8
    assert len(launched(due(8, 90))) == 4
    assert len(launched(due(8, 210))) == 1
    # Without a deadline each would start within a minute.
    assert len(launched(waiting(8))) == 8


def test_what_has_time_is_no_reason_to_rent_more_than_others_need():
    assert len(launched(due(4, 1000, others=2))) == 2
    assert launched(due(4, 1000), [busy()]) == []


def test_a_deadline_that_cannot_be_kept_counts_as_none():
    assert len(launched(due(4, 60))) == 4
    assert len(launched(due(4, -10))) == 4


def test_deadlines_stay_within_maximum_and_caps():
    assert len(launched(due(8, 70), policy=replace(POLICY, maximum=3))) == 3
    assert len(launched(due(8, 70), policy=replace(POLICY, max_usd_per_hour=7.2))) == 2


def test_the_earlier_deadline_has_the_slots_first():
    demand = waiting(6, due=(DueTasks(2, 90), DueTasks(4, 210)))
    assert len(launched(demand)) == 1
