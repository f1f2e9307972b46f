"""Holds new jobs to the limits of their tenant and of their key, and tells the fair order what each may have of the
encoders.

What waits and runs is counted by the index of jobs, which every gateway has; what is used of a day stands in the
ledger of usage. A tenant and a key are alike here: accounts, as in gateway/jobs/fairness.py.
"""

import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.fleet.billing import DAY_SECONDS, midnight
from gateway.jobs.fairness import Share, key_account, key_of
from gateway.jobs.model import Job
from gateway.jobs.store import JobIndex
from gateway.tenants.limits import NO_LIMITS, Holder, WorkLimits
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
    """The limits of all tenants and keys. Errors: ResourceExhausted (QUOTA_EXCEEDED), Unavailable."""

    tenants: Tenants
    index: JobIndex
    ledger: UsageLedger
    cost_of: CostOf
    # For tenants of whom nothing else is said.
    max_open_uploads: int
    # Returns the limits of a key, by its id.
    limits_of_key: Callable[[str], WorkLimits] = lambda key_id: NO_LIMITS
    # Returns the bytes that a tenant has stored.
    stored: Callable[[str], int] = lambda tenant: 0
    # Returns the uploads that a tenant has open.
    open_uploads: Callable[[str], int] = lambda tenant: 0
    # Jobs that are being written, by account.
    _entering: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set), init=False)
    # Accounts with work that waits and nothing left of their day.
    _spent: set[str] = field(default_factory=set, init=False)

    def limits_of(self, account: str) -> WorkLimits:
        """Return the limits of a tenant, or of a key."""
        key_id = key_of(account)
        return self.limits_of_key(key_id) if key_id else self.tenants.get(account).work_limits

    def share_of(self, account: str) -> Share:
        """Return what a tenant or a key may have of the encoders now."""
        weight = 1.0 if key_of(account) else self.tenants.get(account).weight
        most = self.limits_of(account).max_running_tasks or None
        return Share(weight, 0 if account in self._spent else most)

    @contextlib.asynccontextmanager
    async def admit(self, job: Job) -> AsyncIterator[None]:
        """Hold a place in the queue for a new job while it is written."""
        accounts = job.lane.accounts
        self.check_stored(job.tenant, 1)
        for account in accounts:
            if (error := await self._over_day(account, job.tenant)) is not None:
                raise error
        for account in accounts:
            self._check_queue(account, job.tenant)
        for account in accounts:
            self._entering[account].add(job.id)
        try:
            yield
        finally:
            for account in accounts:
                self._leave(account, job.id)

    def _leave(self, account: str, job_id: str) -> None:
        entering = self._entering[account]
        entering.discard(job_id)
        if not entering:
            del self._entering[account]

    async def used(self, tenant: str) -> dict[str, float]:
        """Return how much is used of what a tenant is limited in, by the names of its limits."""
        return {
            **await self._work_used(tenant),
            "max_stored_bytes": self.stored(tenant),
            "max_open_uploads": self.open_uploads(tenant),
        }

    async def used_by_key(self, key_id: str) -> dict[str, float]:
        """Return how much is used of what a key is limited in."""
        return await self._work_used(key_account(key_id))

    async def _work_used(self, account: str) -> dict[str, float]:
        return {
            "max_queued_jobs": self._queued(account),
            "max_running_tasks": self.index.order.busy.get(account, 0),
            **await self._used_today(account, time.time()),
        }

    async def _used_today(self, account: str, now: float) -> dict[str, float]:
        """Return what is used of the day: by jobs that ended on it, and since midnight by those that go on."""
        day = (await self.ledger.read(day_of(now), account)).total
        work, start = self.index.open_work, midnight(now)
        cost = self.cost_of(work.usage(account, start), now)
        return {
            "max_minutes_per_day": (day.encoder_seconds + work.seconds(account, start, now)) / 60,
            "max_usd_per_day": day.cost_usd + (cost.usd if cost else 0.0),
        }

    def check_stored(self, name: str, more_bytes: int) -> None:
        """Raise ResourceExhausted where a tenant may not have so many bytes more."""
        most, used = self.tenants.get(name).max_stored_bytes, self.stored(name)
        if 0 < most < more_bytes:
            text = f"The file has more than the {most} bytes that your tenant may have stored; send a smaller one."
            raise ResourceExhausted(text, reason="ASSET_TOO_LARGE", metadata={"max_bytes": str(most)})
        if 0 < most < used + more_bytes:
            advice = f"{more_bytes} more are too many: delete files, or have the operator raise the limit."
            raise Holder(name).over("max_stored_bytes", most, used, STORAGE_SECONDS, advice)

    def check_open_uploads(self, name: str, count: int, next_expiry: datetime | None) -> None:
        """Raise ResourceExhausted where a tenant may not have one open upload more than so many."""
        most = self.tenants.get(name).max_open_uploads or self.max_open_uploads
        if count < most:
            return
        left = (next_expiry - datetime.now(UTC)).total_seconds() if next_expiry else UPLOAD_SECONDS
        advice = (
            "send the rest of those that were cut, or delete them (DELETE /uploads/{upload}); else each is forgotten "
            "once it expires. Or have the operator raise the limit."
        )
        raise Holder(name).over("max_open_uploads", most, count, min(max(left, 1.0), UPLOAD_SECONDS), advice)

    def with_stored_limit(self) -> list[str]:
        """Return the tenants whose stored bytes are limited."""
        return [name for name, tenant in self.tenants.records.cached.items() if tenant.max_stored_bytes]

    async def refresh(self) -> None:
        """Find the accounts whose day is spent among those with work that waits."""
        waiting = {account: lane.tenant for lane in self.index.order.waiting for account in lane.accounts}
        over = {account for account, tenant in waiting.items() if await self._over_day(account, tenant) is not None}
        self._spent = over

    def _check_queue(self, account: str, tenant: str) -> None:
        most, queued = self.limits_of(account).max_queued_jobs, self._queued(account)
        if most and queued >= most:
            advice = "submit it again when some of them have begun, or have the operator raise the limit."
            raise Holder(tenant, key_of(account)).over("max_queued_jobs", most, queued, QUEUE_SECONDS, advice)

    def _queued(self, account: str) -> int:
        entering = [job_id for job_id in self._entering.get(account, ()) if self.index.tenant(job_id) is None]
        return self.index.queued(account) + len(entering)

    async def _over_day(self, account: str, tenant: str) -> ResourceExhausted | None:
        """Return the error of a tenant or a key that has used up what it may of the day."""
        limits = self.limits_of(account)
        if not limits.has_daily_limit:
            return None
        now = time.time()
        used = await self._used_today(account, now)
        over = next((name for name, count in used.items() if 0 < getattr(limits, name) <= count), None)
        if over is None:
            return None
        advice = "submit it again after midnight UTC, or have the operator raise the limit."
        left_seconds = midnight(now) + DAY_SECONDS - now
        return Holder(tenant, key_of(account)).over(over, getattr(limits, over), used[over], left_seconds, advice)
