"""Where the results of a job are put, and how far that is. Pure: no I/O, no clock; times are Unix seconds."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from servicekit.codec import SPARSE

S3 = "s3://"


@dataclass(frozen=True, slots=True)
class ResultDelivery:
    """One result on its way: that of a task, its first one (`file` 0) or a further one. It is tried from `since` on,
    next at `next_at` (None: no more). `error` is why the last attempt failed. `is_verified` if its receiver told the
    digest of what it has, or checked that which it was sent. `place` is what callers are shown."""

    task: int
    file: int
    place: str
    since: float
    next_at: float | None
    attempt_count: int = field(default=0, metadata=SPARSE)
    error: str = field(default="", metadata=SPARSE)
    is_delivered: bool = field(default=False, metadata=SPARSE)
    is_verified: bool = field(default=False, metadata=SPARSE)

    @property
    def key(self) -> tuple[int, int]:
        """Names it within the job."""
        return self.task, self.file


@dataclass(frozen=True, slots=True)
class OutputTarget:
    """Where results go: `urls` take one result each by PUT, in the order of the results; or the one is a template that
    begins with "s3://". `headers` are sent with each. `deliveries` say how far it is, `is_settled` once nothing is left
    to be put."""

    urls: tuple[str, ...]
    headers: tuple[tuple[str, str], ...] = field(default=(), metadata=SPARSE)
    is_settled: bool = field(default=False, metadata=SPARSE)
    deliveries: tuple[ResultDelivery, ...] = field(default=(), metadata=SPARSE)

    @property
    def is_bucket(self) -> bool:
        """True for a template."""
        return self.urls[0].startswith(S3)

    @property
    def origin(self) -> str:
        """The host and port that results go to, or the bucket."""
        return urlsplit(self.urls[0]).netloc.lower()
