"""Tells webhooks what happens to jobs. It runs on every gateway; the leader alone calls.

What is to be told follows from the record of a job, which names its webhook until nothing is left. So nothing is
forgotten when a gateway dies, and the id of what is told is the same whoever tells it: it arrives once or more often.
"""

import asyncio
import time
from dataclasses import dataclass, field

import structlog

from gateway.cluster.duty import LeaderDuty
from gateway.cluster.leader import LeaderLease
from gateway.jetstream.records import Records, UnreadableRecord
from gateway.jobs import job_log
from gateway.jobs.hooks import PROGRESS, Occurrence, occurrences
from gateway.jobs.model import Job, Status
from gateway.jobs.progress import ProgressBus, TaskProgress
from gateway.jobs.store import JobStore
from gateway.webhooks import settling
from gateway.webhooks.caller import WebhookCaller
from gateway.webhooks.deliveries import Deliveries, DeliveryPolicy, WebhookAttempt, attempted, planned
from servicekit import tracing
from servicekit.errors import NotFound, ServiceError
from servicekit.tasks import cancel_and_wait, log_and_continue

log = structlog.get_logger("gateway.webhooks")

NO_PROGRESS: dict[int, TaskProgress] = {}


@dataclass(eq=False)
class WebhookDeliverer:
    """Runs from `start` to `close`."""

    store: JobStore
    records: Records[Deliveries]
    lease: LeaderLease
    caller: WebhookCaller
    progress: ProgressBus
    policy: DeliveryPolicy
    # Of jobs that this gateway tells of: how much has happened to each by what it has seen.
    _seen: dict[str, tuple[int, int]] = field(default_factory=dict, init=False)
    _followed: dict[str, asyncio.Task[None]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        unsettled = self.store.index.webhooks
        self.duty = LeaderDuty("call webhooks", unsettled, self.lease, self.policy.limits, self._tell, self._dismiss)
        self.store.listeners.append(self._job_changed)
        self.store.on_prune.append(self._forget)

    def start(self) -> None:
        """Start the loop."""
        self.duty.start()

    async def close(self) -> None:
        """Stop, and let another gateway go on at once."""
        await self.duty.close()

    async def _dismiss(self) -> None:
        await cancel_and_wait(*self._followed.values())
        self._seen.clear()

    async def _forget(self, job: Job) -> None:
        if job.webhook is not None:
            await self.records.delete(job.id)

    def _job_changed(self, job_id: str, job: Job | None) -> None:
        if job is None or job.webhook is None or job.webhook.is_settled:
            self._seen.pop(job_id, None)
            return
        if not self.duty.is_leading:
            self.duty.wake()
            return
        seen = (sum(1 for _ in occurrences(job)), job.webhook.round)
        if self._seen.get(job_id) != seen:
            self._seen[job_id] = seen
            self.duty.add(job_id)
        self._follow(job)

    async def _tell(self, job_id: str) -> float | None:
        """Tell of a job what is due, then return when to go on, or settle it."""
        try:
            return await self._tell_all(job_id)
        except (NotFound, UnreadableRecord):  # there is nobody to tell, or a gateway of a later version does
            return None
        except ServiceError as error:
            log.warning("cannot record the calls of a webhook; they are repeated", error=error.message)
            return time.time() + self.policy.backoff.first_seconds

    async def _tell_all(self, job_id: str) -> float | None:
        """Return when to go on; None where only a change of the job can bring more."""
        job = await self.store.get(job_id)
        if job.webhook is None or job.webhook.is_settled:
            return None
        job_log.learn(job)
        self._follow(job)
        told = planned(await self.records.get(job_id) or Deliveries(), job, time.time())
        notes: list[tuple[str, WebhookAttempt]] = []
        noted_at = time.monotonic()
        for name in told.due(time.time()):
            one = told.by_name[name]
            with tracing.border("webhook", job.traceparent, tracing.CLIENT, what=name) as note:
                attempt = await self.caller.call(job, one.occurrence, one.since, NO_PROGRESS)
                note(status=attempt.status, error=attempt.error)
            _log(name, attempt)
            notes.append((name, attempt))
            if time.monotonic() - noted_at > self.policy.record_seconds:
                await self._note(job, notes)
                noted_at = time.monotonic()
            if not self.lease.is_held:
                break
        told = await self._note(job, notes)
        if told.next_at is None and job.status.is_terminal:
            await self.store.update(job_id, lambda latest: settling.settle_webhook(latest, job.webhook))
        return told.next_at

    async def _note(self, job: Job, notes: list[tuple[str, WebhookAttempt]]) -> Deliveries:
        """Write down the attempts, which are taken from the list."""

        def step(before: Deliveries) -> Deliveries:
            after = planned(before, job, time.time())
            for name, attempt in notes:
                after = attempted(after, name, attempt, self.policy)
            return after

        told = await self.records.update(job.id, step, Deliveries())
        notes.clear()
        return told

    def _follow(self, job: Job) -> None:
        """Tell of the progress of a job that runs, where that is asked for, unless it is told already."""
        is_asked = job.webhook is not None and PROGRESS in job.webhook.events
        if is_asked and job.status is Status.IN_PROGRESS and job.id not in self._followed:
            self._followed[job.id] = task = asyncio.create_task(self._tell_progress(job.id))
            task.add_done_callback(lambda _: self._followed.pop(job.id, None))

    async def _tell_progress(self, job_id: str) -> None:
        """Tell how far a job is until it has ended. What does not arrive is not repeated: the next one is newer."""
        running: dict[int, TaskProgress] = {}
        changed = asyncio.Event()

        def note(index: int, progress: TaskProgress) -> None:
            running[index] = progress
            changed.set()

        with log_and_continue("cannot tell a webhook of progress"):
            async with self.progress.subscribe(job_id, note):
                while self.duty.is_leading:
                    await asyncio.sleep(self.policy.progress_seconds)
                    job = await self.store.get(job_id)
                    if job.status is not Status.IN_PROGRESS or job.webhook is None:
                        return
                    if changed.is_set() and self.duty.has_place(self.store.index.webhooks.origin(job.id)):
                        changed.clear()
                        now = time.time()
                        name = f"progress-{int(now * 1000)}"
                        await self.caller.call(job, Occurrence(PROGRESS), now, running, name)


def _log(name: str, attempt: WebhookAttempt) -> None:
    if attempt.error:
        log.warning("webhook call failed", what=name, status=attempt.status, error=attempt.error)
    else:
        log.info("webhook called", what=name, status=attempt.status)
