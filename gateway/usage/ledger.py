"""The record of each day and tenant: what was counted, changed by compare-and-set, and kept longer than jobs."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import date

from gateway.jetstream.keyvalue import KeyValue
from gateway.jetstream.records import Records
from gateway.usage.counts import DayUsage

KEPT_SECONDS = 400 * 86_400.0
# Days whose records are known by their revisions.
MAX_DAYS_KNOWN = 3


@dataclass(eq=False)
class UsageLedger:
    """The usage of all tenants, in a bucket that forgets what is older than KEPT_SECONDS. Errors: Unavailable."""

    bucket: KeyValue
    _days: dict[date, Records[DayUsage]] = field(default_factory=dict, init=False)

    async def read(self, day: date, tenant: str) -> DayUsage:
        """Return what a tenant had done on a day."""
        return await self._records(day).get(tenant) or DayUsage()

    async def change(self, day: date, tenant: str, step: Callable[[DayUsage], DayUsage]) -> None:
        """Apply a pure step to the record of a tenant's day."""
        await self._records(day).update(tenant, step, DayUsage())

    async def all_of(self, day: date) -> AsyncIterator[tuple[str, DayUsage]]:
        """Yield the tenants of a day, by name, with what they had done."""
        prefix = f"{day.isoformat()}."
        for key in sorted(await self.bucket.keys(prefix)):
            tenant = key.removeprefix(prefix)
            yield tenant, await self.read(day, tenant)

    def _records(self, day: date) -> Records[DayUsage]:
        """Return the records of a day. What is known of them is forgotten with the days before, so that it does not
        grow."""
        if day not in self._days:
            records = Records(self.bucket, DayUsage, "usage", f"{day.isoformat()}.", keeps_values=False)
            self._days[day] = records
            if len(self._days) > MAX_DAYS_KNOWN:
                del self._days[next(iter(self._days))]
        return self._days[day]
