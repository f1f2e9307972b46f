"""The queue of tasks: one message a task, named "<job>.<index>"."""

import contextlib
import secrets
from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import structlog

from gateway.fleet.speeds import WorkItem
from gateway.jetstream.queue import MAIN, Delivery, WorkQueue
from gateway.jetstream.records import UnreadableRecord
from gateway.jobs.fairness import FairOrder, Lane
from gateway.jobs.model import Job, Status
from gateway.jobs.store import JobIndex, JobStore
from servicekit import log_context
from servicekit.errors import Internal, NotFound

log = structlog.get_logger("gateway.jobs")

# In names of lanes, before the key.
KEY_MARK = "=="


@dataclass(frozen=True, slots=True)
class TaskRef:
    """A task of a job."""

    job_id: str
    index: int

    @property
    def key(self) -> str:
        """The name of the task in the queue, in topics and in logs."""
        return f"{self.job_id}.{self.index}"

    @classmethod
    def parse(cls, key: str) -> "TaskRef":
        """Return the task of a name."""
        job_id, _, index = key.rpartition(".")
        return cls(job_id, int(index))


@dataclass(slots=True)
class Attempt:
    """An attempt at a task, with its message. `started_at` is the start that the record has of this attempt, and of no
    other; None before. `id` is its own. `boot_id` is that of the process of the `encoder` when its slot was held.
    `begun_at` is when it was begun, also of a second one; 0 before. `share` is how much of it is done, of 1; `piece` is
    what it makes where that is a part of a film, known once it has started, or its slot was chosen by it. `leased` is
    the encoder that it was given a slot of. One that `is_over` has its slot left to wait for. One that `is_second` runs
    beside another, which has the message: see second_tries.py."""

    ref: TaskRef
    delivery: Delivery
    started_at: float | None = None
    boot_id: str = ""
    encoder: str = ""
    share: float = 0.0
    piece: WorkItem | None = None
    is_over: bool = False
    is_second: bool = False
    begun_at: float = 0.0
    leased: str = ""
    id: str = field(default_factory=lambda: secrets.token_hex(16))

    def is_current_attempt(self, job: Job) -> bool:
        """Return True if no other attempt was started since."""
        return job.tasks[self.ref.index].is_current(self.started_at)

    def logged(self) -> AbstractContextManager[None]:
        """Have the lines of a block say that they are about it."""
        return log_context.about(job=self.ref.job_id, task=self.ref.key, attempt=self.id)


def lane_name(lane: Lane) -> str:
    """Return the name of a lane in the queue; the main one is that of the tenant "default" with normal priority, in
    which tasks of before there were others are. No tenant has two dots beside each other, or one at its end."""
    whose = lane.tenant.replace(".", "=") + (f"{KEY_MARK}{lane.key}" if lane.key else "")
    return MAIN if lane == Lane() else f"{whose}.{lane.priority}"


def lane_of(name: str) -> Lane:
    """Return the lane of a name."""
    whose, _, priority = name.partition(".")
    tenant, _, key = whose.partition(KEY_MARK)
    return Lane() if name == MAIN else Lane(tenant.replace("=", "."), priority, key)


@dataclass(eq=False)
class TaskQueue:
    """The tasks that are to be done, in lanes by tenant and priority. Errors: Unavailable."""

    queue: WorkQueue
    order: FairOrder = field(default_factory=FairOrder)

    def follow(self, index: JobIndex) -> None:
        """Take tasks in the order of an index, and look for one as soon as more of them wait there."""
        self.order = index.order
        index.on_waiting.append(self.queue.expect)

    async def put(self, job: Job, indexes: Iterable[int] | None = None) -> int:
        """Queue every task of the job, or of these, that can be done and is not queued yet; return how many were
        queued."""
        found = [
            TaskRef(job.id, index).key
            for index in (range(len(job.tasks)) if indexes is None else indexes)
            if job.tasks[index].status is Status.IN_PROGRESS or job.is_ready(index)
        ]
        return await self.queue.put_all(found, lane_name(job.lane))

    async def next(self) -> Attempt:
        """Wait for the next task. Raise Internal for a message that names none, which is left unacknowledged."""
        delivery = await self.queue.next(lambda: [lane_name(lane) for lane in self.order.lanes()])
        self.order.took(lane_of(delivery.lane))
        try:
            return Attempt(TaskRef.parse(delivery.key), delivery)
        except ValueError as error:
            raise Internal(f"A message in the queue names no task: {delivery.key}") from error

    async def exchange(self, attempt: Attempt, wanted: Iterable[TaskRef]) -> Attempt:
        """Return the task of an attempt to the head of its lane, and take in its place the first of those that are
        `wanted` and wait in the lane; the same again where there is none of them."""
        keys = dict.fromkeys([*(ref.key for ref in wanted), attempt.ref.key])
        delivery = await self.queue.exchange(attempt.delivery, list(keys))
        return Attempt(TaskRef.parse(delivery.key), delivery)

    async def stop(self) -> None:
        """Take no more tasks."""
        await self.queue.stop()

    async def recover(self, store: JobStore) -> None:
        """Queue again the tasks of jobs that are in no queue: their gateway was killed between record and queue."""
        # Asked in one call, as to put the tasks of each job again would cost one for each.
        queued = Counter(TaskRef.parse(key).job_id for key in await self.queue.keys())
        for job_id in store.index.ids(lambda status: not status.is_terminal):
            if queued[job_id] >= store.index.tasks_at_work(job_id):
                continue
            with contextlib.suppress(NotFound, UnreadableRecord):
                if await self.put(await store.get(job_id)):
                    log.warning("queued a job again that was in no queue", job=job_id)
