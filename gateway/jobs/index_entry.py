"""What the index knows of a job, small, as every gateway has it of each job that is kept. Pure."""

import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway.callers import DEFAULT_TENANT
from gateway.jobs.fairness import NORMAL, Lane
from gateway.jobs.listing import marks
from gateway.jobs.model import Job, Status, UnfitEncoder

# One for all entries that have none of something.
NONE: Mapping[Any, Any] = {}


class IndexEntry(NamedTuple):
    """Status of a job, how many of its tasks wait for an encoder, by operation, and how many run; whether it is a
    graph, and has results that are to be deleted; by index of the task, the encoders that failed it by a fault of their
    own, and the codec that it must be made with; whose it is, its operation, what is kept of its metadata, when it is
    to be done (Unix seconds, 0 for any), and the key that it came with, where that has limits."""

    status: Status
    waiting: Mapping[str, int]
    running: int
    is_graph: bool = False
    has_intermediates: bool = False
    unfit: Mapping[int, tuple[UnfitEncoder, ...]] = NONE
    codecs: Mapping[int, str] = NONE
    tenant: str = DEFAULT_TENANT
    operation: str = ""
    marks: tuple[int, ...] = ()
    priority: str = NORMAL
    deadline: float = 0.0
    key: str = ""

    @property
    def lane(self) -> Lane:
        """The lane of its tasks in the queue."""
        return Lane(self.tenant, self.priority, self.key)

    @classmethod
    def of(cls, job: Job) -> "IndexEntry":
        """Return what the index knows of a job."""
        status = job.status
        whose: dict[str, Any] = {
            "tenant": sys.intern(job.tenant),
            "operation": sys.intern(job.operation),
            "priority": job.priority,
            "key": sys.intern(job.key),
        }
        if status.is_terminal:  # most are: many records of little, of which nothing is counted
            has_intermediates = bool(job.intermediates)
            known = marks(job.metadata)
            return cls(status, NONE, 0, job.graph, has_intermediates, marks=known, **whose)
        in_queue = (index for index, task in enumerate(job.tasks) if task.status is Status.IN_QUEUE)
        waiting = Counter(map(job.kind, filter(job.is_ready, in_queue)))
        unfit = {index: task.unfit for index, task in enumerate(job.tasks) if task.unfit}
        codecs = {index: task.needs_codec for index, task in enumerate(job.tasks) if task.needs_codec}
        return cls(
            status=status,
            waiting=waiting,
            running=job.count(Status.IN_PROGRESS),
            is_graph=job.graph,
            unfit=unfit,
            codecs=codecs,
            marks=marks(job.metadata),
            deadline=job.deadline,
            **whose,
        )


NOTHING = IndexEntry(Status.CANCELLED, NONE, 0)
