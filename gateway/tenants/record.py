"""What is said of a tenant. Pure."""

from dataclasses import dataclass, field

from gateway.tenants.limits import WORK_LIMITS, WorkLimits
from servicekit.codec import SPARSE


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
    def work_limits(self) -> WorkLimits:
        """Its limits of what encoders do."""
        return WorkLimits(**{name: getattr(self, name) for name in WORK_LIMITS})
