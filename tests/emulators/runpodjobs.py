"""The queue of an emulated RunPod endpoint: jobs with their states and policies, and the workers that take them."""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

IN_QUEUE, IN_PROGRESS = "IN_QUEUE", "IN_PROGRESS"
COMPLETED, FAILED, CANCELLED, TIMED_OUT = "COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"
FINAL = frozenset({COMPLETED, FAILED, CANCELLED, TIMED_OUT})
TICK_SECONDS = 0.01
NOTHING = object()


@dataclass
class Rules:
    """What the endpoint does by itself. The defaults are RunPod's; tests set them lower, at any time."""

    result_seconds: float = 1800.0
    sync_result_seconds: float = 60.0
    execution_timeout_ms: float = 600_000.0
    ttl_ms: float = 86_400_000.0
    least_execution_timeout_ms: float = 5000.0
    least_ttl_ms: float = 10_000.0
    # A worker that has shown no sign of life for so long is lost; a job may be lost with it so many times.
    worker_lost_seconds: float = 60.0
    retries: int = 1
    # A worker gets its first job so long after it has shown itself.
    cold_start_seconds: float = 0.0
    # A worker's question for jobs, or for jobs to stop, is held so long.
    poll_seconds: float = 5.0
    workers_max: int = 3


@dataclass
class Job:
    """A job; times are those of time.monotonic()."""

    id: str
    input: Any
    execution_seconds: float
    ttl_seconds: float
    result_seconds: float
    created_at: float
    state: str = IN_QUEUE
    worker: str = ""
    output: Any = NOTHING
    error: str = ""
    retries: int = 0
    started_at: float = 0.0
    ended_at: float = 0.0
    stream: list[Any] = field(default_factory=list)
    # For tests: the updates of progress, and those among all that came after the end.
    progress: list[Any] = field(default_factory=list)
    late_updates: int = 0

    def view(self) -> dict[str, Any]:
        """As /status tells it."""
        told: dict[str, Any] = {"id": self.id, "status": self.state}
        if self.started_at:
            told["delayTime"] = round((self.started_at - self.created_at) * 1000)
            told["workerId"] = self.worker
        if self.started_at and self.ended_at:
            told["executionTime"] = round((self.ended_at - self.started_at) * 1000)
        if self.output is not NOTHING:
            told["output"] = self.output
        if self.error:
            told["error"] = self.error
        if self.retries:
            told["retries"] = self.retries
        return told


@dataclass
class Worker:
    """A worker as the endpoint knows it."""

    id: str
    known_since: float
    seen_at: float
    idle_since: float
    stops: list[str] = field(default_factory=list)


class Queue:
    """Jobs and workers of one endpoint."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.jobs: dict[str, Job] = {}
        self.workers: dict[str, Worker] = {}
        self.counted: Counter[str] = Counter()

    def submit(self, body: dict[str, Any], *, is_sync: bool = False) -> Job:
        """A new job. Raises ValueError for a body that RunPod refuses."""
        rules, policy = self.rules, body.get("policy") or {}
        if not isinstance(body.get("input"), dict):
            raise ValueError("input is required")
        execution_ms = policy.get("executionTimeout", rules.execution_timeout_ms)
        ttl_ms = policy.get("ttl", rules.ttl_ms)
        if execution_ms < rules.least_execution_timeout_ms or ttl_ms < rules.least_ttl_ms:
            raise ValueError("policy is out of range")
        job = Job(
            id=f"sync-{uuid.uuid4()}-e1" if is_sync else f"{uuid.uuid4()}-e1",
            input=body["input"],
            execution_seconds=execution_ms / 1000,
            ttl_seconds=ttl_ms / 1000,
            result_seconds=rules.sync_result_seconds if is_sync else rules.result_seconds,
            created_at=time.monotonic(),
        )
        self.jobs[job.id] = job
        return job

    def find(self, job_id: str) -> Job | None:
        """A job that has not expired."""
        self.settle()
        return self.jobs.get(job_id)

    def cancel(self, job: Job) -> None:
        """End a job that has not ended, and tell its worker."""
        self._stop(job, CANCELLED)

    def retry(self, job: Job) -> bool:
        """Put a job that failed back into the queue."""
        if job.state not in (FAILED, TIMED_OUT):
            return False
        self._requeue(job)
        return True

    def purge(self) -> int:
        """Remove the jobs that wait; how many."""
        waiting = [job for job in self.jobs.values() if job.state == IN_QUEUE]
        for job in waiting:
            self._end(job, CANCELLED)
        return len(waiting)

    def health(self) -> dict[str, dict[str, int]]:
        """As /health tells it."""
        self.settle()
        states = Counter(job.state for job in self.jobs.values())
        workers = Counter(self.standing(worker) for worker in self.workers.values())
        return {
            "jobs": {
                "completed": self.counted[COMPLETED],
                "failed": self.counted[FAILED] + self.counted[TIMED_OUT],
                "inProgress": states[IN_PROGRESS],
                "inQueue": states[IN_QUEUE],
                "retried": self.counted["retried"],
            },
            "workers": {
                "idle": workers["idle"],
                "initializing": workers["initializing"],
                "ready": workers["idle"],
                "running": workers["running"],
                "throttled": 0,
                "unhealthy": 0,
            },
        }

    def standing(self, worker: Worker) -> str:
        """Where a worker stands, in RunPod's words."""
        if self.held_by(worker.id):
            return "running"
        return "idle" if self._is_warm(worker) else "initializing"

    def held_by(self, worker_id: str) -> list[Job]:
        """The jobs that a worker works on."""
        return [job for job in self.jobs.values() if job.state == IN_PROGRESS and job.worker == worker_id]

    def lose(self, worker_id: str) -> None:
        """A worker is gone: its jobs go back to the queue, or fail when that was their last try."""
        self.workers.pop(worker_id, None)
        for job in self.held_by(worker_id):
            if job.retries < self.rules.retries:
                retries = job.retries + 1
                self._requeue(job)
                job.retries = retries
                self.counted["retried"] += 1
            else:
                job.error = f"job timed out after {job.retries} retries"
                self._end(job, FAILED)

    def seen(self, worker_id: str) -> Worker:
        """A worker shows that it lives."""
        now = time.monotonic()
        worker = self.workers.setdefault(worker_id, Worker(worker_id, now, now, now))
        worker.seen_at = now
        return worker

    async def take(self, worker_id: str, most: int, is_gone: Callable[[], Awaitable[bool]]) -> list[Job]:
        """Jobs for a worker, once there are any; none when the time is up, `is_gone`, or the worker is lost."""
        asking = self.seen(worker_id)

        def found() -> list[Job]:
            if not self._is_warm(asking):
                return []
            return [job for job in self.jobs.values() if job.state == IN_QUEUE][:most]

        taken = await self._held(asking, found, is_gone)
        for job in taken:
            job.state, job.worker, job.started_at = IN_PROGRESS, worker_id, time.monotonic()
        return taken

    async def stops(self, worker_id: str, is_gone: Callable[[], Awaitable[bool]]) -> list[str]:
        """The jobs that a worker is to stop, once there are any."""
        asking = self.seen(worker_id)
        found = await self._held(asking, lambda: list(asking.stops), is_gone)
        # One may have come since the question was given up.
        asking.stops = [job for job in asking.stops if job not in found]
        return found

    def done(self, worker_id: str, job_id: str, body: dict[str, Any]) -> None:
        """A worker's last word on a job, or word of its progress."""
        self.seen(worker_id)
        job = self.jobs.get(job_id)
        if job is None:
            return
        is_update = body.get("status") == IN_PROGRESS
        if job.state != IN_PROGRESS or job.worker != worker_id:
            job.late_updates += is_update
        elif is_update:
            job.output = body.get("output")
            job.progress.append(job.output)
        else:
            job.output, job.error = body.get("output", NOTHING), body.get("error", "")
            self._end(job, FAILED if job.error else COMPLETED)
        if body.get("stopPod"):
            self.lose(worker_id)

    def settle(self) -> None:
        """Carry out what time has brought: jobs that took too long, results that expired, workers that fell silent."""
        now = time.monotonic()
        for worker in list(self.workers.values()):
            if now > worker.seen_at + self.rules.worker_lost_seconds:
                self.lose(worker.id)
        for job in list(self.jobs.values()):
            if job.state in FINAL:
                if now > job.ended_at + job.result_seconds:
                    del self.jobs[job.id]
            elif now > job.created_at + job.ttl_seconds:
                job.error = "job expired"
                self._stop(job, TIMED_OUT)
            elif job.state == IN_PROGRESS and now > job.started_at + job.execution_seconds:
                job.error = "job timed out"
                self._stop(job, TIMED_OUT)

    async def _held(
        self, asking: Worker, found: Callable[[], list[Any]], is_gone: Callable[[], Awaitable[bool]]
    ) -> list[Any]:
        end = time.monotonic() + self.rules.poll_seconds
        # A worker that is lost gets nothing any more, also where its connection has not been seen to end yet.
        while time.monotonic() < end and not await is_gone() and self.workers.get(asking.id) is asking:
            asking.seen_at = time.monotonic()
            self.settle()
            if answer := found():
                return answer
            await asyncio.sleep(TICK_SECONDS)
        return []

    def _is_warm(self, worker: Worker) -> bool:
        return time.monotonic() >= worker.known_since + self.rules.cold_start_seconds

    def _stop(self, job: Job, state: str) -> None:
        if job.state == IN_PROGRESS and job.worker in self.workers:
            self.workers[job.worker].stops.append(job.id)
        if job.state not in FINAL:
            self._end(job, state)

    def _end(self, job: Job, state: str) -> None:
        job.state, job.ended_at = state, time.monotonic()
        self.counted[state] += 1
        if job.worker in self.workers:
            self.workers[job.worker].idle_since = job.ended_at

    def _requeue(self, job: Job) -> None:
        job.state, job.worker, job.output, job.error = IN_QUEUE, "", NOTHING, ""
        job.started_at = job.ended_at = 0.0
        job.stream.clear()
