"""Holds new jobs to the limits of their tenant, and tells the fair order what each may have of the encoders.

What waits and runs is counted by the index of jobs, which every gateway has; what is used of a day stands in the
ledger of usage.
"""

import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from gateway.fleet.billing import DAY_SECONDS, midnight
from gateway.jobs.fairness import Share
from gateway.jobs.model import Job, Status
from gateway.jobs.store import JobIndex
from gateway.tenants.record import TenantRecord
from gateway.tenants.tenants import Tenants
from gateway.usage.counter import CostOf
from gateway.usage.counts import day_of
from gateway.usage.ledger import UsageLedger
from servicekit.errors import ResourceExhausted

QUEUE_SECONDS = 30.0
STORAGE_SECONDS = 3600.0
UPLOAD_SECONDS = 60.0


@dataclass(eq=False)
class Quotas:
    """The limits of all tenants. Errors: ResourceExhausted (QUOTA_EXCEEDED), Unavailable."""

    tenants: Tenants
    index: JobIndex
    ledger: UsageLedger
    cost_of: CostOf
    # For tenants of whom nothing else is said.
    max_open_uploads: int
    # Returns the bytes that a tenant has stored.
    stored: Callable[[str], int] = lambda tenant: 0
    # Returns the uploads that a tenant has open.
    open_uploads: Callable[[str], int] = lambda tenant: 0
    # Jobs that are being written, by tenant.
    _entering: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set), init=False)
    # Tenants with work that waits and nothing left of their day.
    _spent: set[str] = field(default_factory=set, init=False)

    def share_of(self, tenant: str) -> Share:
        """Return what a tenant may have of the encoders now."""
        return self.tenants.get(tenant).share(is_spent=tenant in self._spent)

    @contextlib.asynccontextmanager
    async def admit(self, job: Job) -> AsyncIterator[None]:
        """Hold a place in the queue for a new job while it is written."""
        tenant = self.tenants.get(job.tenant)
        self.check_stored(job.tenant, 1)
        if (error := await self._over_day(tenant)) is not None:
            raise error
        self._check_queue(tenant)
        entering = self._entering[job.tenant]
        entering.add(job.id)
        try:
            yield
        finally:
            entering.discard(job.id)
            if not entering:
                self._entering.pop(job.tenant, None)

    async def used(self, tenant: str) -> dict[str, float]:
        """Return how much is used of what a tenant is limited in, by the names of its limits."""
        return {
            "max_queued_jobs": self._queued(tenant),
            "max_running_tasks": self.index.order.busy.get(tenant, 0),
            **await self._used_today(tenant, time.time()),
            "max_stored_bytes": self.stored(tenant),
            "max_open_uploads": self.open_uploads(tenant),
        }

    async def _used_today(self, tenant: str, now: float) -> dict[str, float]:
        """Return what is used of the day: by jobs that ended on it, and since midnight by those that go on."""
        day = (await self.ledger.read(day_of(now), tenant)).total
        work, start = self.index.open_work, midnight(now)
        cost = self.cost_of(work.usage(tenant, start), now)
        return {
            "max_minutes_per_day": (day.encoder_seconds + work.seconds(tenant, start, now)) / 60,
            "max_usd_per_day": day.cost_usd + (cost.usd if cost else 0.0),
        }

    def check_stored(self, name: str, more_bytes: int) -> None:
        """Raise ResourceExhausted where a tenant may not have so many bytes more."""
        tenant, used = self.tenants.get(name), self.stored(name)
        most = tenant.max_stored_bytes
        if 0 < most < more_bytes:
            text = f"The file has more than the {most} bytes that your tenant may have stored; send a smaller one."
            raise ResourceExhausted(text, reason="ASSET_TOO_LARGE", metadata={"max_bytes": str(most)})
        if 0 < most < used + more_bytes:
            advice = f"{more_bytes} more are too many: delete files, or have the operator raise the limit."
            raise tenant.over("max_stored_bytes", used, STORAGE_SECONDS, advice)

    def check_open_uploads(self, name: str, count: int, next_expiry: datetime | None) -> None:
        """Raise ResourceExhausted where a tenant may not have one open upload more than so many."""
        found = self.tenants.get(name)
        most = found.max_open_uploads or self.max_open_uploads
        if count < most:
            return
        left = (next_expiry - datetime.now(UTC)).total_seconds() if next_expiry else UPLOAD_SECONDS
        advice = (
            "send the rest of those that were cut, or delete them (DELETE /uploads/{upload}); else each is forgotten "
            "once it expires. Or have the operator raise the limit."
        )
        limited = replace(found, max_open_uploads=most)
        raise limited.over("max_open_uploads", count, min(max(left, 1.0), UPLOAD_SECONDS), advice)

    def with_stored_limit(self) -> list[str]:
        """Return the tenants whose stored bytes are limited."""
        return [name for name, tenant in self.tenants.records.cached.items() if tenant.max_stored_bytes]

    async def refresh(self) -> None:
        """Find the tenants whose day is spent among those with work that waits."""
        waiting = {lane.tenant for lane in self.index.order.waiting}
        limited = [tenant for tenant in map(self.tenants.get, waiting) if tenant.has_daily_limit]
        self._spent = {tenant.tenant for tenant in limited if await self._over_day(tenant) is not None}

    def _check_queue(self, tenant: TenantRecord) -> None:
        queued = self._queued(tenant.tenant)
        if tenant.max_queued_jobs and queued >= tenant.max_queued_jobs:
            advice = "submit it again when some of them have begun, or have the operator raise the limit."
            raise tenant.over("max_queued_jobs", queued, QUEUE_SECONDS, advice)

    def _queued(self, tenant: str) -> int:
        entering = [job_id for job_id in self._entering.get(tenant, ()) if self.index.tenant(job_id) is None]
        return self.index.counts(tenant).get(Status.IN_QUEUE, 0) + len(entering)

    async def _over_day(self, tenant: TenantRecord) -> ResourceExhausted | None:
        """Return the error of a tenant that has used up what it may of the day."""
        if not tenant.has_daily_limit:
            return None
        now = time.time()
        used = await self._used_today(tenant.tenant, now)
        over = [name for name, count in used.items() if 0 < getattr(tenant, name) <= count]
        if not over:
            return None
        advice = "submit it again after midnight UTC, or have the operator raise the limit."
        return tenant.over(over[0], used[over[0]], midnight(now) + DAY_SECONDS - now, advice)
