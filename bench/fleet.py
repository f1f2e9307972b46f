"""What a fleet costs and how long videos wait, beside the two ways known today, in simulated time.

The defaults of `Policy` come from the rows that vary one thing (at most three machines, runs of five videos).

60 s idle: with 1,000 videos a month, 300 s cost nearly twice to three times as much and shorten the mean wait by 4 s
at most, as next to no run comes within five minutes of another. With 1,000 a day they cost a half more at Vast.ai and
twice as much at RunPod, for waits that are a quarter to a third shorter. 30 s save another tenth to a quarter.

A target of 60 s: 30 s cost up to two fifths more for waits that are up to a sixth shorter; 120 s save a tenth to a
third for waits that are from a quarter longer to twice as long.

A machine for each video is the dearest way where its set-up takes minutes (Vast.ai), and the cheapest where it takes
seconds and nothing is paid after the work (RunPod without idle time).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from bench.arrivals import Arrival, nights
from bench.pair import Measured
from bench.simulation import Decide, Market, Outcome, Simulation
from bench.timing import Row
from gateway.fleet import autoscaler
from gateway.fleet.autoscaler import Decision, Launch, Policy, Snapshot, Terminate
from gateway.fleet.instances.instance import HOUR_SECONDS

# Assumptions; change them to your own. Prices are those of the providers' lists, times those of the order that is
# reported for them: nothing here was measured on a rented card.
VAST = Market("vast", usd_per_hour=0.35, setup=(60, 180), failing=0.05)  # of the class of an RTX 4090
RUNPOD = Market(
    "runpod", usd_per_hour=0.00025 * HOUR_SECONDS, setup=(5, 30)
)  # flex workers: 0.00019 to 0.00031 a second
VIDEO_SECONDS = (10.0, 40.0)
VIDEOS_PER_RUN = 5
VOLUMES = {"1,000 videos a month": (1000, 30), "1,000 videos a day": (3000, 3)}
FIXED_IDLE_SECONDS = 300.0
FIXED_WORKERS = 3
MAXIMUM = 3
IDLE_SECONDS = (30, 120, 300)
TARGET_SECONDS = (30, 120)

TICK_SECONDS = 10.0
SEED = 1


def rows(_: Measured, folder: Path) -> Iterator[Row]:
    """US dollars for 1,000 videos, and seconds until an encoder takes one: mean, 95 of 100, longest."""
    for volume, (videos, days) in VOLUMES.items():
        trace = nights(videos, VIDEOS_PER_RUN, days, VIDEO_SECONDS, Random(SEED))
        for market in (VAST, RUNPOD):
            name = f"{volume}, {market.provider}"
            yield f"{name}, a machine for each", figures(machine_for_each(trace, market), videos), ""
            fixed = run(trace, market, Policy(maximum=FIXED_WORKERS, idle_seconds=FIXED_IDLE_SECONDS), fixed_timeout)
            yield f"{name}, 0 to {FIXED_WORKERS} with {FIXED_IDLE_SECONDS:.0f} s idle", figures(fixed, videos), ""
            yield f"{name}, api-gpu", figures(run(trace, market, Policy(maximum=MAXIMUM)), videos), ""
            for policy, words in policies():
                yield f"{name}, api-gpu, {words}", figures(run(trace, market, policy), videos), ""


def policies() -> Iterator[tuple[Policy, str]]:
    """The default with one thing changed."""
    default = Policy(maximum=MAXIMUM)
    for seconds in IDLE_SECONDS:
        yield replace(default, idle_seconds=seconds), f"idle {seconds} s"
    for seconds in TARGET_SECONDS:
        yield replace(default, target_wait_seconds=seconds), f"target {seconds} s"


def figures(outcome: Outcome, videos: int) -> str:
    """Of a run, as the table has it."""
    usd = outcome.usd / videos * 1000
    waits = f"{outcome.mean_wait_seconds:.0f}, {outcome.wait_seconds(0.95):.0f}, {outcome.wait_seconds(1):.0f} s"
    paid = outcome.setup_seconds + outcome.busy_seconds + outcome.idle_seconds
    return f"$ {usd:.2f} for 1,000, waits {waits}; busy {outcome.busy_seconds / paid:.0%}"


def run(trace: Sequence[Arrival], market: Market, policy: Policy, decide: Decide = autoscaler.decide) -> Outcome:
    """Simulate with the gateway's scaler, or another."""
    return Simulation(trace, policy, [market], seed=SEED, tick_seconds=TICK_SECONDS, decide=decide).run()


def fixed_timeout(fleet: Snapshot) -> list[Decision]:
    """What is usual: a worker for each task that waits, up to the most, and each ends after a fixed time idle."""
    coming = sum(not worker.is_ready for worker in fleet.workers)
    wanted = min(fleet.demand.waiting - coming, fleet.policy.maximum - len(fleet.workers))
    idle = [worker for worker in fleet.workers if worker.idle_since is not None]
    ended = [worker for worker in idle if fleet.now - worker.idle_since >= fleet.policy.idle_seconds]
    launches = [Launch(offer, "") for offer in fleet.offers[: max(0, wanted)]]
    return launches + [Terminate(worker.id, "") for worker in ended]


def machine_for_each(trace: Sequence[Arrival], market: Market) -> Outcome:
    """A machine is created for each video and destroyed after it, as many at once as come; a machine that does not come
    up is given up, and the next one is tried."""
    outcome, chance = Outcome(), Random(SEED)
    for arrival in trace:
        wait_seconds = 0.0
        while chance.random() < market.failing:
            wait_seconds += market.patience_seconds
        wait_seconds += chance.uniform(*market.setup)
        outcome.waits.append(wait_seconds)
        outcome.setup_seconds += wait_seconds
        outcome.busy_seconds += arrival.task_seconds
        outcome.days[0] += (wait_seconds + arrival.task_seconds) * market.usd_per_hour / HOUR_SECONDS
    return outcome
