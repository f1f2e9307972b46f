"""When waiting jobs are expected to begin: by what runs, what waits before them, and how long such tasks took lately.

An estimate for a lane of the queue holds for a second, as many callers ask at once of long queues; longer, where
there are so many lanes that estimates would take more than a small share of the time.
"""

import functools
import heapq
import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.fleet.fleet import Fleet
from gateway.fleet.speeds import TaskSpeeds
from gateway.jobs.fairness import PRIORITIES, Lane
from gateway.jobs.model import Job
from gateway.jobs.progress import Phase, ProgressBus, TaskProgress
from gateway.jobs.store import JobIndex
from gateway.workers.pool import Pool

HOLDS_SECONDS = 1.0
# Of the time, what estimates may take.
ESTIMATING_SHARE = 0.02
# The first jobs of a lane are looked at one by one; those behind them begin as far apart as these do.
MAX_LOOKED = 100
# Tasks of one job that are counted for each slot.
MAX_ROUNDS = 50
# Tasks that are counted for one lane; jobs behind them begin as far apart as those before.
MAX_COUNTED = 20_000
# Of estimates: below the first number of seconds they are told in steps of the second.
STEPS = ((20.0, 1.0), (120.0, 5.0), (float("inf"), 30.0))

Work = Mapping[str, int]
"""Tasks of a job that wait, by kind."""


@dataclass(frozen=True)
class LaneStarts:
    """In how many seconds the first jobs of a lane begin, and how far apart those behind them (None: not known)."""

    seconds: tuple[float, ...]
    each_seconds: float | None

    def at(self, place: int) -> float | None:
        """Return the seconds until the job at a place of the lane begins, from 1; None for no place, and where that is
        not known."""
        beyond = place - len(self.seconds)
        if place < 1 or not self.seconds or (beyond > 0 and self.each_seconds is None):
            return None
        return self.seconds[place - 1] if beyond <= 0 else self.seconds[-1] + beyond * (self.each_seconds or 0.0)


def lane_starts(
    before: Sequence[Work],
    lane: Sequence[Work],
    others: Sequence[Sequence[Work]],
    speeds: TaskSpeeds,
    free_in: Sequence[float],
) -> LaneStarts | None:
    """Return when the jobs of a lane begin, by when slots of encoders are free (in so many seconds each). What is
    `before` them has its turn first; those of each other tenant have theirs between them. None where there is no slot,
    a kind of task was not seen yet, or more waits before the first of them than is counted."""
    turns = list(before)
    places = []
    for mine, *theirs in itertools.islice(itertools.zip_longest(lane, *others), len(lane)):
        turns += [one for one in theirs if one is not None]
        places.append(len(turns))
        turns.append(mine)
    usual_seconds = functools.cache(speeds.usual_seconds)
    free = list(free_in)
    heapq.heapify(free)
    starts: list[float] = []
    left = MAX_COUNTED
    for work in turns[: places[-1] + 1] if places else ():
        if not free or None in map(usual_seconds, work):
            return None
        starts.append(free[0])
        tasks = (kind for kind, count in work.items() for _ in range(count))
        for kind in itertools.islice(tasks, min(MAX_ROUNDS * len(free), left)):
            heapq.heapreplace(free, free[0] + (usual_seconds(kind) or 0.0))
            left -= 1
        if not left:
            break
    return _starts_at(places, starts)


def _starts_at(places: Sequence[int], starts: Sequence[float]) -> LaneStarts:
    """Return the starts of the turns that are those of a lane, as far as they are known."""
    found = tuple(starts[place] for place in places if place < len(starts))
    if len(found) > 1:
        return LaneStarts(found, (found[-1] - found[0]) / (len(found) - 1))
    return LaneStarts(found, 0.0 if len(found) == len(places) else None)


def _place(lane: Lane) -> int:
    """Return where the priority of a lane is in the order of them."""
    return PRIORITIES.index(lane.priority)


def rounded(seconds: float) -> float:
    """Return an estimate as it is told: the longer, the coarser."""
    step = next(step for limit, step in STEPS if seconds < limit)
    return round(seconds / step) * step


def seconds_left(progress: TaskProgress) -> float | None:
    """Return how long a task goes on, by its own rate; None where that is not known."""
    is_known = progress.phase is Phase.ENCODING and progress.fps > 0 and progress.frames_total > 0
    return max(0, progress.frames_total - progress.frames_done) / progress.fps if is_known else None


@dataclass(eq=False)
class StartTimes:
    """The estimates of this gateway."""

    index: JobIndex
    pool: Pool
    progress: ProgressBus
    fleet: Fleet
    clock: Callable[[], float] = time.monotonic
    _known: dict[Lane, LaneStarts | None] = field(default_factory=dict, init=False)
    _made_at: float = field(default=float("-inf"), init=False)
    # What those that are known took.
    _took_seconds: float = field(default=0.0, init=False)

    def seconds(self, job: Job) -> float | None:
        """Return in how many seconds a job that waits is expected to begin; None where that is not known."""
        now = self.clock()
        if now - self._made_at > max(HOLDS_SECONDS, self._took_seconds / ESTIMATING_SHARE):
            self._known, self._made_at, self._took_seconds = {}, now, 0.0
        lane = job.lane
        if lane not in self._known:
            self._known[lane] = self._lane_starts(lane)
            self._took_seconds += self.clock() - now
        found = self._known[lane]
        seconds = found.at(self.index.place(job.id)) if found else None
        return None if seconds is None else rounded(seconds)

    def _lane_starts(self, lane: Lane) -> LaneStarts | None:
        speeds = self.fleet.estimate_store.estimates.speeds
        begun, waiting = self.index.waiting_work(lane, MAX_LOOKED)
        first = PRIORITIES[: PRIORITIES.index(lane.priority)] if lane.priority in PRIORITIES else ()
        of_tenants = defaultdict[str, list[Lane]](list)
        for one in sorted(self.index.order.waiting):
            of_tenants[one.tenant].append(one)
        siblings = self._open([one for one in of_tenants.pop(lane.tenant, []) if one != lane])
        before = [work for one in siblings if one.priority in first for work in self._work_of([one])]
        turns = [self._work_of([one]) for one in siblings if one.priority == lane.priority]
        turns += [self._work_of(self._open(lanes)) for _, lanes in sorted(of_tenants.items())[:MAX_LOOKED]]
        return lane_starts(before + begun, waiting, turns, speeds, list(self._free_in(speeds)))

    def _open(self, lanes: list[Lane]) -> list[Lane]:
        """Return lanes of one tenant that no limit holds up, in the order of their priorities, as many as are looked
        at."""
        known = sorted((one for one in lanes if one.priority in PRIORITIES), key=_place)
        return self.index.order.with_room(known[:MAX_LOOKED])

    def _work_of(self, lanes: Iterable[Lane]) -> list[Work]:
        """Return what waits in lanes, in their order."""
        looked = (self.index.waiting_work(lane, MAX_LOOKED) for lane in lanes)
        return [work for lane in looked for works in lane for work in works][:MAX_LOOKED]

    def _free_in(self, speeds: TaskSpeeds) -> Iterator[float]:
        """Yield in how many seconds each slot is free: of encoders that answer, and of those that are on their way."""
        busy = free = 0
        for member in self.pool.members:
            if member.ready:
                taken = min(max(member.busy, member.used), member.slots)
                busy, free = busy + taken, free + member.slots - taken
        yield from itertools.repeat(0.0, free)
        known = (seconds_left(one) for one in self.progress.running())
        left = [seconds for seconds in itertools.islice(known, busy) if seconds is not None]
        # Of what tells nothing half is done, as a rule.
        usual = sum(left) / len(left) if left else (speeds.usual_seconds() or 0.0) / 2
        yield from left
        yield from itertools.repeat(usual, busy - len(left))
        yield from self._starting_in()

    def _starting_in(self) -> Iterator[float]:
        now, estimates = time.time(), self.fleet.estimate_store.estimates
        monitors = self.fleet.controller.monitors
        for instance in self.fleet.registry.living():
            if instance.ready_at is None and instance.provider in monitors:
                prior_seconds = monitors[instance.provider].provider.setup_seconds
                setup_seconds = estimates.setup_seconds(instance.provider, prior_seconds)
                yield from itertools.repeat(max(0.0, instance.created_at + setup_seconds - now), instance.slots)
