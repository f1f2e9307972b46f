"""How often things are tried again, and for how long."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Of the parts that look after jobs."""

    # A change is told at once; this is for the case that the watch on the records is down.
    recheck_seconds: float = 5.0
    # A job that must not run, while the store is away.
    withdraw_seconds: float = 600.0
    withdraw_retry_seconds: float = 1.0
    # A task whose encoder had no place for it, and, times its tries, one whose encoder was lost.
    busy_seconds: float = 0.5
    retry_seconds: float = 1.0
    # Between two looks for jobs that are in no queue.
    recover_seconds: float = 60.0
    # A result whose record cannot be written now.
    record_seconds: float = 60.0
    record_retry_seconds: float = 0.5


RETRY_POLICY = RetryPolicy()
