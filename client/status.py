"""Where a job stands."""

from enum import StrEnum


class Status(StrEnum):
    """Where a job stands, by the names of the JSON surface."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"
