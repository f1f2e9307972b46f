"""An instance's transitions, and what jobs and days cost: pure functions."""

from dataclasses import replace

import pytest

from apigpu.v1 import fleet_pb2
from gateway.fleet import billing
from gateway.fleet.billing import UsageInterval
from gateway.fleet.instances.instance import Instance, InstanceAccess, InstanceState

REQUESTED = Instance(id="fleet-1", provider="vast", usd_per_hour=3.6, created_at=1000.0)
PROVISIONING = REQUESTED.created("77").located("192.0.2.1:9000", 0)
READY = PROVISIONING.became_ready(2, 1060.0)


def test_a_life_from_request_to_end():
    assert (PROVISIONING.state, PROVISIONING.provider_id) == (InstanceState.PROVISIONING, "77")
    assert PROVISIONING.takes_tasks
    assert (READY.state, READY.slots, READY.ready_at) == (InstanceState.READY, 2, 1060.0)
    assert READY.idle_since() == 1060.0
    gone = READY.drain("idle").terminated(1400.0)
    assert (gone.state, gone.reason, gone.usd(9999.0)) == (InstanceState.TERMINATED, "idle", pytest.approx(0.4))
    assert not REQUESTED.takes_tasks
    assert not gone.takes_tasks


def test_an_instance_that_has_work_is_not_terminated_before_it_is_done():
    working = READY.run_started("job.0", 1100.0)
    draining = working.drain("old")
    assert (draining.state, draining.draining, draining.takes_tasks) == (InstanceState.READY, True, False)
    assert draining.idle_since() is None
    assert draining.run_started("job.1", 1101.0) == draining
    done = draining.run_ended("job.0", 1110.0)
    assert done.drain("again").state is InstanceState.TERMINATING
    assert (done.busy_seconds, done.tasks, done.used_at) == (10.0, 1, 1110.0)


def test_steps_that_no_longer_apply_change_nothing():
    gone = READY.terminated(1400.0, "lost")
    for step in (
        lambda m: m.became_ready(5, 1.0),
        lambda m: m.run_started("job.0", 1.0),
        lambda m: m.run_ended("job.0", 1.0),
        lambda m: m.drain("again"),
        lambda m: m.terminate("again"),
        lambda m: m.terminated(2.0, "again"),
    ):
        assert step(gone) == gone


def test_what_ran_when_an_instance_ended_has_ended_and_its_keys_are_forgotten():
    working = replace(READY.run_started("job.0", 1100.0), access=InstanceAccess("ca", "crt", "key", "token"))
    gone = working.terminated(1200.0)
    assert (gone.running, gone.busy_seconds, gone.access) == ((), 100.0, None)


def test_states_are_stored_and_shown_by_the_names_of_the_wire():
    assert {state.value for state in InstanceState} == set(fleet_pb2.Machine.State.keys()) - {"STATE_UNSPECIFIED"}


def test_the_shares_of_all_jobs_add_up_to_the_price_with_set_up_and_idle_time():
    worked = READY.run_started("a.0", 1100.0)
    worked = worked.run_started("b.0", 1110.0)
    worked = worked.run_ended("b.0", 1120.0).run_ended("a.0", 1130.0)
    gone = worked.terminated(1400.0)
    intervals = {"a": UsageInterval(gone.id, 1100.0, 1130.0), "b": UsageInterval(gone.id, 1110.0, 1120.0)}
    costs = {job: billing.cost_of((interval,), {gone.id: gone}.get, 5000.0) for job, interval in intervals.items()}
    assert costs["a"].usd == pytest.approx(0.3)
    assert costs["b"].usd == pytest.approx(0.1)
    assert sum(cost.usd for cost in costs.values()) == pytest.approx(gone.usd(5000.0)) == pytest.approx(0.4)
    assert (costs["a"].seconds, costs["a"].is_final) == (30.0, True)


def test_the_cost_of_a_job_that_runs_grows_and_is_not_final():
    worked = READY.run_started("a.0", 1100.0)
    early, late = (
        billing.cost_of((UsageInterval(worked.id, 1100.0),), {worked.id: worked}.get, now) for now in (1110.0, 1200.0)
    )
    assert early.usd == pytest.approx(0.11)  # alone on it: the set-up is all its own
    assert late.usd > early.usd
    assert not late.is_final
    assert billing.cost_of((), {}.get, 1.0) is None


def test_a_run_that_is_not_yet_written_down_on_its_instance_costs_no_more_than_the_instance():
    cost = billing.cost_of((UsageInterval(READY.id, 1060.0),), {READY.id: READY}.get, 1100.0)
    assert cost.usd == pytest.approx(READY.usd(1100.0))


def test_intervals_that_ended_on_one_instance_are_kept_as_one_of_their_length():
    intervals = [
        UsageInterval("a", 10, 20),
        UsageInterval("b", 25, 26),
        UsageInterval("a", 30, 35),
        UsageInterval("a", 40),
    ]
    assert billing.merge(intervals) == (UsageInterval("a", 20, 35), UsageInterval("b", 25, 26), UsageInterval("a", 40))


def test_what_an_instance_will_idle_counts_against_a_budget_while_it_lives():
    intervals, worked = (
        (UsageInterval(READY.id, 1060.0, 1070.0),),
        READY.run_started("a.0", 1060.0).run_ended("a.0", 1070.0),
    )
    so_far, in_all = (billing.cost_of(intervals, {READY.id: worked}.get, 1070.0, idle) for idle in (0, 60))
    assert in_all.usd == pytest.approx(so_far.usd + 60 * 0.001)


def test_days_split_an_instance_that_lives_over_midnight():
    midnight = 20_000 * 86_400.0
    life = replace(REQUESTED, created_at=midnight - 1800, usd_per_hour=2.0)
    life = life.terminated(midnight + 3600)
    today, yesterday = billing.by_day([life], 3, midnight + 7200)
    assert (today.usd, today.billed_seconds, today.instances) == (pytest.approx(2.0), 3600.0, 0)
    assert (yesterday.usd, yesterday.billed_seconds, yesterday.instances) == (pytest.approx(1.0), 1800.0, 1)
    assert billing.spent_today([life], midnight + 1800) == pytest.approx(1.0)
    assert yesterday.date < today.date
