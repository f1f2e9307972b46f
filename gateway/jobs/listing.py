"""Which jobs a list has. Pure: no I/O."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.jobs.model import Job, Status, first_id

# A page looks at so many jobs at most; where few of them are wanted it is short, and the next one goes on.
MAX_LOOKED = 20_000


def marks(metadata: Iterable[tuple[str, str]]) -> tuple[int, ...]:
    """Return what the index keeps of a job's metadata: enough to pass over nearly every job without an entry."""
    return tuple(map(hash, metadata))


@dataclass(frozen=True)
class JobFilter:
    """What all jobs of a list have in common; None and "" are any. `metadata` are entries that a job has, the times of
    submission Unix seconds: from `created_after` on, and before `created_before`."""

    status: Status | None = None
    operation: str = ""
    tenant: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    created_after: float = 0.0
    created_before: float = math.inf

    def matches(self, status: Status, operation: str, known_marks: tuple[int, ...]) -> bool:
        """Return False for a job that is not of the list, by what the index knows of it."""
        return (
            self.status in (None, status)
            and self.operation in ("", operation)
            and (not self.metadata or set(known_marks).issuperset(marks(self.metadata)))
        )

    def has(self, job: Job) -> bool:
        """Return True for a job of the list, as it is stored."""
        is_noted = set(job.metadata).issuperset(self.metadata)
        return is_noted and self.matches(job.status, job.operation, marks(job.metadata))

    def bounds(self, before: str) -> tuple[str, str]:
        """Return the id from which on jobs are of the list, and the first that is not any more ("": none), of those
        before an id ("": of all)."""
        ends = [before] if before else []
        if self.created_before != math.inf:
            ends.append(first_id(max(0.0, self.created_before)))
        return first_id(max(0.0, self.created_after)), min(ends, default="")
