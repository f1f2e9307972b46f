"""The record of each day and account (a tenant, or a key with limits of its own): what was counted, changed by
compare-and-set, and kept longer than jobs."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import date

from gateway.jetstream.keyvalue import KeyValue
from gateway.jetstream.records import Records
from gateway.jobs.fairness import key_of
from gateway.usage.counts import DayUsage

KEPT_SECONDS = 400 * 86_400.0
# Days whose records are known by their revisions: those of tenants, and those of keys.
MAX_DAYS_KNOWN = 6


@dataclass(eq=False)
class UsageLedger:
    """The usage of all tenants, in a bucket that forgets what is older than KEPT_SECONDS. Errors: Unavailable."""

    bucket: KeyValue
    _days: dict[str, Records[DayUsage]] = field(default_factory=dict, init=False)

    async def read(self, day: date, account: str) -> DayUsage:
        """Return what an account had done on a day."""
        return await self._records(day, account).get(key_of(account) or account) or DayUsage()

    async def change(self, day: date, account: str, step: Callable[[DayUsage], DayUsage]) -> None:
        """Apply a pure step to the record of an account's day."""
        await self._records(day, account).update(key_of(account) or account, step, DayUsage())

    async def all_of(self, day: date) -> AsyncIterator[tuple[str, DayUsage]]:
        """Yield the tenants of a day, by name, with what they had done."""
        prefix = f"{day.isoformat()}."
        for key in sorted(await self.bucket.keys(prefix)):
            tenant = key.removeprefix(prefix)
            yield tenant, await self.read(day, tenant)

    def _records(self, day: date, account: str) -> Records[DayUsage]:
        """Return the records of a day, of tenants or of keys. What is known of them is forgotten with the days before,
        so that it does not grow."""
        prefix = f"keys.{day.isoformat()}." if key_of(account) else f"{day.isoformat()}."
        if prefix not in self._days:
            self._days[prefix] = Records(self.bucket, DayUsage, "usage", prefix, keeps_values=False)
            if len(self._days) > MAX_DAYS_KNOWN:
                del self._days[next(iter(self._days))]
        return self._days[prefix]
