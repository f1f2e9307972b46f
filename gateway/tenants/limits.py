"""How much of the encoders a tenant, or a key of one, may have, and the error of a limit that is reached. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from servicekit.codec import SPARSE
from servicekit.errors import ResourceExhausted

QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
# What a limit counts, for texts, by the field that has it.
QUOTAS = {
    "max_queued_jobs": "jobs in the queue",
    "max_running_tasks": "tasks at work at once",
    "max_minutes_per_day": "minutes of work a day",
    "max_usd_per_day": "US dollars a day",
    "max_stored_bytes": "stored bytes",
    "max_open_uploads": "open uploads",
}


@dataclass(frozen=True, slots=True)
class WorkLimits:
    """What may wait, be at work, and be used of a day (UTC); 0: any number."""

    max_queued_jobs: int = field(default=0, metadata=SPARSE)
    max_running_tasks: int = field(default=0, metadata=SPARSE)
    max_minutes_per_day: float = field(default=0.0, metadata=SPARSE)
    max_usd_per_day: float = field(default=0.0, metadata=SPARSE)

    @property
    def has_daily_limit(self) -> bool:
        """True if what may be used of a day is limited."""
        return bool(self.max_minutes_per_day or self.max_usd_per_day)


NO_LIMITS = WorkLimits()
WORK_LIMITS = tuple(one.name for one in fields(WorkLimits))


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has come to a limit, for its error: a tenant, or a key of one ("": the tenant itself)."""

    tenant: str
    key: str = ""

    def over(self, quota: str, limit: float, used: float, retry_seconds: float, advice: str) -> ResourceExhausted:
        """Return the error of a limit that is reached."""
        who = f"The API key {self.key} of the tenant {self.tenant!r}" if self.key else f"The tenant {self.tenant!r}"
        text = f"{who} has {shown(used)} of the {shown(limit)} {QUOTAS[quota]} that it may have; {advice}"
        facts: Mapping[str, str] = {
            "quota": quota,
            "limit": shown(limit),
            "used": shown(used),
            "tenant": self.tenant,
            **({"key": self.key} if self.key else {}),
        }
        return ResourceExhausted(text, reason=QUOTA_EXCEEDED, metadata=facts, retry_seconds=retry_seconds)


def shown(number: float) -> str:
    """Return a figure for people: whole where it is, else with three places."""
    return f"{number:.0f}" if number == int(number) else f"{number:.3f}".rstrip("0")
