"""The states of jobs and tasks. Pure."""

from enum import StrEnum


class Status(StrEnum):
    """The state of a job or a task. The values are the stored ones, and the names of Status in jobs.proto."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"

    @property
    def is_terminal(self) -> bool:
        """Return True if no transition leads out of the state."""
        return self not in OPEN


# Those that transitions lead out of.
OPEN = (Status.IN_QUEUE, Status.IN_PROGRESS)
