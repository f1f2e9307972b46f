"""What one gateway does for the jobs of all: it holds a lease, and serves what is due, few jobs at once for each host.

Which jobs these are follows from their records, so that nothing is forgotten when a gateway dies: whoever has the lease
next begins with all that are unsettled.
"""

import asyncio
import contextlib
import functools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from gateway.cluster.leader import LeaderLease
from gateway.cluster.schedule import Schedule
from servicekit import log_context
from servicekit.errors import ServiceError
from servicekit.tasks import cancel_and_wait, log_and_continue

CLOSE_SECONDS = 5.0


@dataclass(eq=False)
class Unsettled:
    """The jobs for which something is left to be done, with the host that it is done at."""

    _origins: dict[str, str] = field(default_factory=dict, init=False)

    def note(self, job_id: str, origin: str) -> None:
        """Take in what is left of a job: something at `origin`, whose jobs share places, or nothing ("")."""
        if origin:
            self._origins[job_id] = origin
        else:
            self._origins.pop(job_id, None)

    def ids(self) -> list[str]:
        """Return the ids of the jobs, the oldest first."""
        return sorted(self._origins)

    def origin(self, job_id: str) -> str:
        """Return where what is left of a job is done; "" where nothing is left."""
        return self._origins.get(job_id, "")

    def __bool__(self) -> bool:
        return bool(self._origins)


@dataclass(frozen=True, kw_only=True, slots=True)
class DutyLimits:
    """Jobs at once for one host, and in all, of which one tenant has three quarters at most, even where it is the only
    one: the rest is for whoever comes while its hosts are slow. Seconds of the lease, between looks at it, and before a
    job is tried again that could not be served for a reason that nobody thought of."""

    max_per_origin: int = 4
    max_open: int = 256
    lease_seconds: float = 6.0
    tick_seconds: float = 1.0
    failed_seconds: float = 60.0


DEFAULT_LIMITS = DutyLimits()


@dataclass(eq=False)
class LeaderDuty:
    """Runs from `start` to `close` on every gateway; `serve` is called by the one that has the lease.

    It does what is due of a job, and returns when to go on (None: only a change of the job can bring more). `dismiss`
    is awaited when the lease is lost, or given up as nothing is left. `name` is for the log.
    """

    name: str
    unsettled: Unsettled
    lease: LeaderLease
    limits: DutyLimits
    serve: Callable[[str], Awaitable[float | None]]
    dismiss: Callable[[], Awaitable[None]]
    is_leading: bool = field(default=False, init=False)
    _serving: dict[str, asyncio.Task[None]] = field(default_factory=dict, init=False)
    _woken: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _loop: asyncio.Task[None] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._schedule = self._new_schedule()

    def start(self) -> None:
        """Start the loop."""
        self._loop = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop, and let another gateway go on at once."""
        if self._loop is not None:
            await cancel_and_wait(self._loop)
        await self._stop_leading()
        with contextlib.suppress(ServiceError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.lease.give_up()

    def wake(self) -> None:
        """Look at once whether something is to be done."""
        self._woken.set()

    def add(self, job_id: str) -> None:
        """Serve a job at once, if it is this gateway that serves."""
        if self.is_leading:
            self._schedule.add(job_id, 0.0)
        self.wake()

    def has_place(self, origin: str) -> bool:
        """Return True if one more call of this host may begin."""
        return self._schedule.has_place(origin)

    def _new_schedule(self) -> Schedule:
        return Schedule(self.limits.max_per_origin, self.limits.max_open)

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            has_failed = True
            with log_and_continue(f"cannot {self.name}; trying again"):
                await self._lead()
                has_failed = False
            if has_failed:
                await asyncio.sleep(self.limits.tick_seconds)
            elif not self._woken.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_seconds()):
                        await self._woken.wait()

    def _pause_seconds(self) -> float | None:
        """Return when to look again: not at all while nothing is to be done."""
        if not self.unsettled and not self.is_leading:
            return None
        until_due = (self._schedule.next_at or time.time() + self.limits.tick_seconds) - time.time()
        return min(self.limits.tick_seconds, max(0.0, until_due))

    async def _lead(self) -> None:
        if not self.unsettled and not self._serving:
            if self.is_leading:
                await self._stop_leading()
                await self.lease.give_up()
            return
        is_ours = self.lease.is_fresh or await self.lease.renew() or self.lease.is_held
        if not is_ours:
            await self._stop_leading()
            await asyncio.sleep(self.limits.tick_seconds)  # whatever is to be done meanwhile
            self._woken.set()
            return
        if not self.is_leading:
            self._begin_leading()
        self._serve_due()

    def _begin_leading(self) -> None:
        self.is_leading = True
        for job_id in self.unsettled.ids():
            self._schedule.add(job_id, 0.0)

    async def _stop_leading(self) -> None:
        self.is_leading = False
        await cancel_and_wait(*self._serving.values())
        await self.dismiss()
        self._schedule = self._new_schedule()

    def _serve_due(self) -> None:
        for job_id in self._schedule.make_ready(time.time()):
            if origin := self.unsettled.origin(job_id):
                self._schedule.wait(job_id, origin)
        for job_id in self._schedule.take():
            self._serving[job_id] = task = asyncio.create_task(self._serve(job_id))
            task.add_done_callback(functools.partial(self._served, job_id, self._schedule))

    def _served(self, job_id: str, schedule: Schedule, _: asyncio.Task[None]) -> None:
        del self._serving[job_id]
        schedule.leave(job_id)
        self._woken.set()

    async def _serve(self, job_id: str) -> None:
        again_at: float | None = time.time() + self.limits.failed_seconds
        with log_context.about(job=job_id), log_and_continue(f"cannot {self.name} of a job; trying again"):
            again_at = await self.serve(job_id)
        if again_at is not None:
            self._schedule.add(job_id, again_at)
