"""What holds whatever comes: the autoscaler over random fleets, and over whole simulated runs."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bench import arrivals
from bench.arrivals import DAY_SECONDS, Arrival
from bench.simulation import Market, Moment, Outcome, Simulation
from gateway.fleet.autoscaler import SAME_USD, Demand, Launch, Offer, Policy, Terminate, Worker, decide

TOLERANCE_USD = 1e-6
TOLERANCE_SECONDS = 0.01
TASK = (5.0, 60.0)
NOW = 1_790_000_000.0
TICK_SECONDS = 2.0

# Making a failing run smaller takes minutes: a property that goes red tells what it was found with.
BASE = settings(deadline=None, database=None, phases=[Phase.explicit, Phase.generate])
RUNS = settings(BASE, derandomize=True, max_examples=40)
FLEETS = settings(RUNS, max_examples=400)
LONG = settings(BASE, max_examples=1000)


def optional(least: float, most: float) -> st.SearchStrategy[float | None]:
    return st.none() | st.floats(least, most)


POLICIES = st.builds(
    Policy,
    minimum=st.integers(0, 2),
    maximum=st.integers(0, 6),
    idle_seconds=st.floats(0, 400),
    target_wait_seconds=st.floats(0, 300),
    max_age_seconds=st.floats(300, 5000),
    max_usd_per_hour=optional(0, 8),
    max_usd_per_day=optional(0, 3),
)
ALLOWING = st.builds(
    Policy,
    maximum=st.integers(1, 6),
    idle_seconds=st.floats(0, 400),
    target_wait_seconds=st.floats(0, 300),
    max_age_seconds=st.floats(600, 5000),
    max_usd_per_hour=optional(4, 8),
)


@st.composite
def markets(draw: st.DrawFn, failing: float = 0.5) -> list[Market]:
    found = []
    for provider in draw(st.sampled_from([["vast"], ["runpod"], ["vast", "runpod"], ["runpod", "vast"]])):
        least = draw(st.floats(1, 120))
        setup = least, least * draw(st.floats(1, 3))
        share, slots = draw(st.floats(0, failing)), draw(st.integers(1, 3))
        price, available = draw(st.floats(0.1, 4)), draw(st.integers(1, 6))
        found.append(Market(provider, price, setup, share, 200, available, slots))
    return found


@st.composite
def traces(draw: st.DrawFn) -> list[Arrival]:
    """Steady, scattered, in bursts or with a night between; some begin shortly before midnight."""
    chance = Random(draw(st.integers(0, 10**6)))
    videos, over = draw(st.integers(1, 25)), draw(st.floats(10, 3000))
    kind = draw(st.sampled_from(["steady", "scattered", "bursts", "nights"]))
    if kind == "nights":
        return arrivals.nights(videos, draw(st.integers(1, 8)), 2, TASK, chance)
    start = draw(st.sampled_from([0.0, DAY_SECONDS - 500]))
    if kind == "bursts":
        found = arrivals.bursts(videos, draw(st.integers(1, 12)), over, TASK, chance)
    else:
        found = getattr(arrivals, kind)(videos, over, TASK, chance)
    return [Arrival(start + arrival.at, arrival.task_seconds) for arrival in found]


@st.composite
def fleets(draw: st.DrawFn) -> Moment:
    """Any state that a fleet could be found in, also one that the policy in force would never have led to."""
    workers = [draw(worker(f"w{number}")) for number in range(draw(st.integers(0, 7)))]
    prices = st.sampled_from([0.2, 0.35, 1.5, 4.0])
    offers = [
        Offer(draw(st.sampled_from(["vast", "runpod"])), str(number), draw(prices), draw(st.floats(1, 200)), 1)
        for number in range(draw(st.integers(0, 6)))
    ]
    demand = Demand(draw(st.integers(0, 30)), draw(st.floats(0, 500)), draw(st.floats(0, 300)))
    return Moment(NOW, demand, workers, offers, draw(POLICIES), draw(st.floats(0, 3)), TICK_SECONDS)


@st.composite
def worker(draw: st.DrawFn, name: str) -> Worker:
    is_rented, is_ready, slots = draw(st.booleans()), draw(st.booleans()), draw(st.integers(1, 3))
    busy = draw(st.integers(0, slots)) if is_ready else 0
    idle_since = NOW - draw(st.floats(0, 900)) if is_ready and not busy else None
    price = draw(st.sampled_from([0.2, 0.35, 1.5, 4.0])) if is_rented else 0.0
    times = NOW - draw(st.floats(0, 6000)), draw(st.floats(1, 200)), idle_since
    leaving = is_rented and draw(st.booleans())
    return Worker(name, is_rented, is_ready, slots, busy, price, *times, leaving)


def applied(moment: Moment) -> Moment:
    """What is found when the decisions were begun, and nothing has come of them yet."""
    offers, workers = list(moment.offers), {worker.id: worker for worker in moment.workers}
    for number, decision in enumerate(moment.decisions):
        if isinstance(decision, Launch):
            offer = decision.offer
            offers.remove(offer)
            rented = Worker(f"new {number}", True, False, offer.slots, 0, offer.usd_per_hour, moment.now)
            workers[rented.id] = replace(rented, setup_seconds=offer.setup_seconds)
        else:
            gone = workers[decision.worker]
            workers[gone.id] = replace(gone, is_draining=True, busy=0 if decision.at_once else gone.busy)
    return replace(moment, workers=list(workers.values()), offers=offers, decisions=())


def rented(workers: list[Worker]) -> list[Worker]:
    return [worker for worker in workers if worker.is_rented]


def staying(workers: list[Worker]) -> list[Worker]:
    return [worker for worker in rented(workers) if not worker.is_draining]


def usd_per_hour(workers: list[Worker]) -> float:
    return sum(worker.usd_per_hour for worker in workers)


def launches(moment: Moment) -> list[Launch]:
    return [decision for decision in moment.decisions if isinstance(decision, Launch)]


def terminations(moment: Moment) -> list[Terminate]:
    return [decision for decision in moment.decisions if isinstance(decision, Terminate)]


def each_worker_is_terminated_once_and_no_static_one(moment: Moment) -> None:
    names = [decision.worker for decision in terminations(moment)]
    assert len(names) == len(set(names))
    assert set(names) <= {worker.id for worker in rented(moment.workers)}


def launching_keeps_to_maximum_and_caps(moment: Moment) -> None:
    if not launches(moment):
        return
    policy, after = moment.policy, rented(applied(moment).workers)
    assert len(after) <= policy.maximum
    if policy.max_usd_per_hour is not None:
        assert usd_per_hour(after) <= policy.max_usd_per_hour + TOLERANCE_USD
    if policy.max_usd_per_day is not None:
        committed = max(launch.offer.setup_seconds for launch in launches(moment)) + moment.demand.task_seconds
        assert moment.spent_today_usd + usd_per_hour(after) * committed / 3600 <= policy.max_usd_per_day + TOLERANCE_USD


def no_more_is_launched_than_tasks_wait(moment: Moment) -> None:
    after = applied(moment).workers
    free = sum(worker.slots - worker.busy for worker in after if worker.is_ready and not worker.is_draining)
    coming = [worker for worker in staying(after) if not worker.is_ready]
    is_for_demand = [launch.reason.endswith("waiting") for launch in launches(moment)]
    if len(staying(after)) > moment.policy.minimum and is_for_demand and is_for_demand[-1]:
        on_time = [worker for worker in coming if worker.created_at + worker.setup_seconds >= moment.now]
        assert free + sum(worker.slots for worker in on_time) - on_time[-1].slots < moment.demand.waiting


def nothing_idle_is_terminated_and_launched_again(moment: Moment) -> None:
    idle = any(decision.reason.startswith("idle") for decision in terminations(moment))
    assert not (idle and any(decision.reason.endswith("waiting") for decision in launches(moment)))


def deciding_again_gives_nothing_new(moment: Moment) -> None:
    assert decide(applied(moment)) == []


def what_is_left_obeys_the_policy(moment: Moment) -> None:
    policy, left = moment.policy, staying(applied(moment).workers)
    assert len(left) <= policy.maximum
    if policy.max_usd_per_hour is not None:
        assert usd_per_hour(left) <= policy.max_usd_per_hour + TOLERANCE_USD
    if (
        policy.max_usd_per_day is not None
    ):  # what is without work is gone at once, what works goes on until the next tick
        paid = [w for w in rented(applied(moment).workers) if w.busy or not w.is_draining]
        paid += [w for w in rented(moment.workers) if w.is_draining and not w.busy]
        tick_usd = usd_per_hour(paid) * moment.tick_seconds / 3600
        assert (
            not any(w.busy for w in paid) or moment.spent_today_usd + tick_usd <= policy.max_usd_per_day + TOLERANCE_USD
        )


def the_minimum_is_left_alone_by_time(moment: Moment) -> None:
    idle = [decision for decision in terminations(moment) if decision.reason.startswith("idle")]
    assert not idle or len(staying(applied(moment).workers)) >= moment.policy.minimum


ALWAYS: list[Callable[[Moment], None]] = [
    each_worker_is_terminated_once_and_no_static_one,
    launching_keeps_to_maximum_and_caps,
    no_more_is_launched_than_tasks_wait,
    nothing_idle_is_terminated_and_launched_again,
    deciding_again_gives_nothing_new,
    what_is_left_obeys_the_policy,
    the_minimum_is_left_alone_by_time,
]


def fleet_holds(moment: Moment) -> None:
    decided = replace(moment, decisions=decide(moment))
    for holds in ALWAYS:
        holds(decided)


def watched(trace, policy, market, own, seed, tick_seconds, until) -> tuple[Outcome, list[Moment]]:
    seen: list[Moment] = []
    run = Simulation(
        trace, policy, market, own=own, seed=seed, tick_seconds=tick_seconds, observe=seen.append, until=until
    )
    return run.run(), seen


OWN, SEEDS, TICKS = st.integers(0, 2), st.integers(0, 10**6), st.floats(1, 20)


def limits_hold(trace, policy, market, own, seed, tick_seconds) -> None:
    """Over a run: caps, maximum, idle times, no task beside a free slot, and all that holds in any fleet."""
    outcome, seen = watched(trace, policy, market, own, seed, tick_seconds, trace[-1].at + 1500)
    cap = policy.max_usd_per_day
    assert cap is None or all(usd <= cap + TOLERANCE_USD for usd in outcome.days.values())
    for moment in seen:
        there = rented(moment.workers)
        assert len(there) <= policy.maximum
        assert policy.max_usd_per_hour is None or usd_per_hour(there) <= policy.max_usd_per_hour + TOLERANCE_USD
        idle = [moment.now - w.idle_since for w in staying(there) if w.idle_since is not None]
        late = sum(seconds > policy.idle_seconds + tick_seconds + TOLERANCE_SECONDS for seconds in idle)
        assert late <= policy.minimum
        free = [w for w in moment.workers if w.is_ready and not w.is_draining and w.busy < w.slots]
        assert not (moment.demand.waiting and free)
        for holds in ALWAYS:
            holds(moment)


def work_gets_done(trace, policy, market, own, seed, tick_seconds) -> None:
    """Where the caps leave room for one machine, every task is done, and in the end nothing is rented."""
    outcome, _ = watched(trace, policy, market, own, seed, tick_seconds, trace[-1].at + 50_000)
    assert len(outcome.waits) == len(trace)
    assert outcome.ended_at < trace[-1].at + 50_000


def the_day_only_delays(trace, policy, market, own, seed) -> None:
    """A cap of the day that has room for a machine's slowest set-up and a few tasks stops nothing for good."""
    market = [replace(one, failing=0.0) for one in market]
    cap = max(one.usd_per_hour * (2 * one.setup[1] + 3 * TASK[1] + 120) / 3600 for one in market)
    policy = replace(policy, max_usd_per_day=cap)
    outcome, _ = watched(trace, policy, market, own, seed, 60.0, trace[-1].at + 30 * DAY_SECONDS)
    assert len(outcome.waits) == len(trace)
    assert all(usd <= cap + TOLERANCE_USD for usd in outcome.days.values())


TRACE = (traces(), POLICIES, markets(), OWN, SEEDS, TICKS)
ALLOWED = (traces(), ALLOWING, markets(), OWN, SEEDS, TICKS)
DELAYED = (traces().map(lambda trace: trace[:8]), ALLOWING, markets(), st.just(0), SEEDS)


def at_the_edge_of_the_daily_cap(cap_usd: float) -> Moment:
    """A draining worker with a task that the cap of the day has room for to the last bit, beside an idle one."""
    draining = Worker("w0", True, True, 1, 1, 0.2, NOW, 1.0, None, True)
    idle = Worker("w1", True, True, 1, 0, 1.5, NOW, 1.0, NOW)
    policy = Policy(max_usd_per_day=cap_usd)
    return Moment(NOW, Demand(0, 0.0, 0.0), [draining, idle], [], policy, 0.0, TICK_SECONDS)


def test_rounding_at_the_daily_cap_changes_no_decision():
    # Around the edge lies each amount that a sum and a difference of prices may be rounded to.
    edge = 0.2 * TICK_SECONDS / 3600 - SAME_USD
    for step in range(-32, 33):
        fleet_holds(at_the_edge_of_the_daily_cap(edge * (1 + step * 2**-53)))


test_in_any_fleet = FLEETS(given(fleets())(fleet_holds))
test_over_any_run_limits_hold = RUNS(given(*TRACE)(limits_hold))
test_over_any_run_that_caps_allow_work_gets_done = RUNS(given(*ALLOWED)(work_gets_done))
test_a_cap_of_the_day_only_delays = settings(RUNS, max_examples=10)(given(*DELAYED)(the_day_only_delays))

LONG_FORMS = [
    ((fleets(),), fleet_holds),
    (TRACE, limits_hold),
    (ALLOWED, work_gets_done),
    (DELAYED, the_day_only_delays),
]


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("inputs", "holds"), LONG_FORMS)
def test_thousands(inputs, holds):
    LONG(given(*inputs)(holds))()
