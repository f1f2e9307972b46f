"""Counts each job once, shortly after its end, whichever gateways live or die meanwhile.

Every gateway counts what no mark in the record of a job says is counted. The job is added to the record of its day
first, which remembers it, and then marked: so a second try, here or at another gateway, changes nothing.
"""

import asyncio
import contextlib
import functools
import random
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import date

import structlog

from gateway.fleet.billing import Cost, UsageInterval
from gateway.jetstream.records import UnreadableRecord
from gateway.jobs.model import COUNTED, Job
from gateway.jobs.store import JobStore
from gateway.usage.counts import REMEMBERED_SECONDS, DayUsage, UsageEntry, added, day_of, entry_of
from gateway.usage.ledger import UsageLedger
from servicekit.errors import Aborted, NotFound
from servicekit.tasks import log_and_continue

log = structlog.get_logger("gateway.usage")

CostOf = Callable[[tuple[UsageInterval, ...], float], Cost | None]
# Jobs that are counted together.
BATCH = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class CountingPolicy:
    """Seconds before ended jobs are counted, and between two looks at what those cost by now whose instances live."""

    pause_seconds: float = 2.0
    cost_seconds: float = 300.0


@dataclass(eq=False)
class UsageCounter:
    """Runs on every gateway."""

    store: JobStore
    ledger: UsageLedger
    cost_of: CostOf
    policy: CountingPolicy = CountingPolicy()
    _woken: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def __post_init__(self) -> None:
        self.store.index.on_end.append(lambda job_id: self._woken.set())
        self.store.on_prune.append(self._count_last)

    async def run(self) -> None:
        """Count, until cancelled."""
        costs_at = time.monotonic()
        while True:
            self._woken.clear()
            index = self.store.index
            with log_and_continue("cannot count usage; trying again"):
                await self.count(list(index.uncounted)[:BATCH])
                if time.monotonic() - costs_at > self.policy.cost_seconds:
                    costs_at = time.monotonic()
                    await self.count(list(index.uncosted))
            if not index.uncounted:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.policy.cost_seconds if index.uncosted else None):
                        await self._woken.wait()
            # Left to chance, so that one gateway of many comes first.
            await asyncio.sleep(self.policy.pause_seconds * random.uniform(0.5, 1.5))

    async def count(self, job_ids: Collection[str]) -> None:
        """Count what is to be counted of jobs. Raise Unavailable."""
        read_at, due = time.monotonic(), list[Job]()
        for job_id in job_ids:
            with contextlib.suppress(NotFound, UnreadableRecord):
                job = await self.store.get(job_id)
                due += [job] if self._is_due(job) else []
        await self._count(due, read_at)

    def _is_due(self, job: Job) -> bool:
        return job.status.is_terminal and (
            job.counted is None or (not job.counted.is_final and self._cost(job).is_final)
        )

    async def _count(self, jobs: Collection[Job], read_at: float) -> None:
        """Add jobs to the days of their tenants and keys, then mark them."""
        costs = {job.id: self._cost(job) for job in jobs}
        of_days = defaultdict[tuple[date, str], list[UsageEntry]](list)
        for job in jobs:
            for account in job.lane.accounts:
                of_days[day_of(job.ended_at or job.created_at), account].append(entry_of(job, costs[job.id]))
        for (day, account), entries in of_days.items():
            await self._add(day, account, entries, read_at)
        for job in jobs:
            with contextlib.suppress(NotFound, UnreadableRecord):
                await self.store.update(job.id, functools.partial(_marked, before=job, cost=costs[job.id]))

    async def _add(self, day: date, account: str, entries: list[UsageEntry], read_at: float) -> None:
        def step(before: DayUsage) -> DayUsage:
            # Somebody else may have counted and marked them since, and the day may have forgotten them.
            if time.monotonic() - read_at > REMEMBERED_SECONDS / 4:
                raise Aborted("It took too long to count these jobs; they are read again.")
            return added(before, entries, time.time(), self._is_marked)

        await self.ledger.change(day, account, step)

    def _is_marked(self, job_id: str) -> bool:
        return job_id not in self.store.index.uncounted and job_id not in self.store.index.uncosted

    def _cost(self, job: Job) -> Cost:
        return self.cost_of(job.usage, time.time()) or COUNTED

    async def _count_last(self, job: Job) -> None:
        """Count what is not counted yet of a job whose record goes."""
        if job.counted is None or not job.counted.is_final:
            await self._count([job], time.monotonic())


def _marked(latest: Job, before: Job, cost: Cost) -> Job:
    """The job is counted, unless somebody else has marked it since it was `before`."""
    return replace(latest, counted=cost) if latest.counted == before.counted else latest
