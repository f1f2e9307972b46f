"""Puts the results of jobs where they are wanted. It runs on every gateway; the leader alone puts.

What is left to be put follows from the record of a job, which is not COMPLETED until nothing is. So nothing is
forgotten when a gateway dies: what arrived and was not written down yet is put once more, to the same place.
"""

import time
from dataclasses import dataclass, field

import structlog

from gateway.assets.record import parse_name
from gateway.cluster.duty import LeaderDuty
from gateway.cluster.leader import LeaderLease
from gateway.jetstream.records import UnreadableRecord
from gateway.jobs import job_log
from gateway.jobs.model import Job
from gateway.jobs.outputs import ResultDelivery
from gateway.jobs.store import JobStore
from gateway.outputs.plan import OutputPolicy, PutOutcome, WantedResult, attempted, next_at, noted, planned, wanted
from gateway.outputs.putting import OutputPutter
from servicekit import tracing
from servicekit.errors import NotFound, ServiceError

log = structlog.get_logger("gateway.outputs")


@dataclass(eq=False)
class OutputDeliverer:
    """Runs from `start` to `close`."""

    store: JobStore
    lease: LeaderLease
    putter: OutputPutter
    policy: OutputPolicy
    # Jobs that this gateway, as the leader, knows to have results to be put.
    _known: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        unsettled = self.store.index.deliveries
        self.duty = LeaderDuty("put results", unsettled, self.lease, self.policy.limits, self._deliver, self._dismiss)
        self.store.listeners.append(self._job_changed)

    def start(self) -> None:
        """Start the loop."""
        self.duty.start()

    async def close(self) -> None:
        """Stop, and let another gateway go on at once."""
        await self.duty.close()

    async def _dismiss(self) -> None:
        self._known.clear()

    def _job_changed(self, job_id: str, job: Job | None) -> None:
        if job is None or not job.is_delivering:
            self._known.discard(job_id)
        elif job_id not in self._known:
            if self.duty.is_leading:
                self._known.add(job_id)
            self.duty.add(job_id)

    async def _deliver(self, job_id: str) -> float | None:
        """Put what is due of a job, then return when to go on."""
        try:
            return await self._deliver_all(job_id)
        except (NotFound, UnreadableRecord):  # it is gone, or a gateway of a later version puts
            return None
        except ServiceError as error:
            log.warning("cannot record what was put; it is put again", error=error.message)
            return time.time() + self.policy.backoff.first_seconds

    async def _deliver_all(self, job_id: str) -> float | None:
        job = await self.store.get(job_id)
        if not job.is_delivering:
            return None
        job_log.learn(job)
        now = time.time()
        places = {(one.task, one.file): one for one in wanted(job)}
        notes: dict[tuple[int, int], ResultDelivery] = {}
        noted_at = time.monotonic()
        for delivery in planned(job, now):
            if delivery.next_at is None or delivery.next_at > now:
                continue
            outcome = await self._put(job, delivery, places[delivery.key])
            notes[delivery.key] = attempted(delivery, outcome, time.time(), self.policy)
            if time.monotonic() - noted_at > self.policy.record_seconds:
                await self._note(job_id, notes)
                noted_at = time.monotonic()
            if not self.lease.is_held:
                break
        return next_at(await self._note(job_id, notes))

    async def _put(self, job: Job, delivery: ResultDelivery, wanted: WantedResult) -> PutOutcome:
        headers = dict(job.output.headers) if job.output else {}
        with tracing.border("put result", job.traceparent, tracing.CLIENT, place=delivery.place) as note:
            outcome = await self.putter.put(job.tenant, wanted.url, parse_name(wanted.result.asset), headers)
            note(error=outcome.error)
        facts = {"place": delivery.place, "attempt": delivery.attempt_count + 1}
        if outcome.error:
            log.warning("result could not be put", error=outcome.error, is_final=outcome.is_final, **facts)
        else:
            log.info("result put", is_verified=outcome.is_verified, **facts)
        return outcome

    async def _note(self, job_id: str, notes: dict[tuple[int, int], ResultDelivery]) -> Job:
        """Write down what came of attempts; with the last result the job ends."""

        def step(job: Job) -> Job:
            now = time.time()
            found = tuple(notes.get(delivery.key, delivery) for delivery in planned(job, now))
            return noted(job, found, now)

        job = await self.store.update(job_id, step)
        job_log.log_end(job)
        return job
