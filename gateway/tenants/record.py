"""What is said of a tenant, and the error of a limit that is reached. Pure."""

from dataclasses import dataclass, field

from gateway.jobs.fairness import Share
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
class TenantRecord:
    """A tenant as it is stored: limits (0: none), weight, whom jobs without a webhook are told to, and the secrets that
    calls of its jobs are signed with, sealed (b"": those of the gateway)."""

    tenant: str
    max_queued_jobs: int = field(default=0, metadata=SPARSE)
    max_running_tasks: int = field(default=0, metadata=SPARSE)
    max_minutes_per_day: float = field(default=0.0, metadata=SPARSE)
    max_usd_per_day: float = field(default=0.0, metadata=SPARSE)
    max_stored_bytes: int = field(default=0, metadata=SPARSE)
    weight: float = field(default=1.0, metadata=SPARSE)
    webhook_url: str = field(default="", metadata=SPARSE)
    webhook_events: tuple[str, ...] = field(default=(), metadata=SPARSE)
    sealed_webhook_secrets: bytes = field(default=b"", metadata=SPARSE)
    # 0: that of the setting.
    max_open_uploads: int = field(default=0, metadata=SPARSE)

    @property
    def has_daily_limit(self) -> bool:
        """True if what it may use of a day is limited."""
        return bool(self.max_minutes_per_day or self.max_usd_per_day)

    def share(self, *, is_spent: bool) -> Share:
        """Return its share of the encoders; none for now where what it may use of a day is spent."""
        return Share(self.weight, 0 if is_spent else self.max_running_tasks or None)

    def over(self, quota: str, used: float, retry_seconds: float, advice: str) -> ResourceExhausted:
        """Return the error of a limit that is reached."""
        limit = shown(getattr(self, quota))
        text = f"The tenant {self.tenant!r} has {shown(used)} of the {limit} {QUOTAS[quota]} that it may have; {advice}"
        facts = {"quota": quota, "limit": limit, "used": shown(used), "tenant": self.tenant}
        return ResourceExhausted(text, reason=QUOTA_EXCEEDED, metadata=facts, retry_seconds=retry_seconds)


def shown(number: float) -> str:
    """Return a figure for people: whole where it is, else with three places."""
    return f"{number:.0f}" if number == int(number) else f"{number:.3f}".rstrip("0")
