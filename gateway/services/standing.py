"""Where a job stands that has not ended: its place in the queue, or how far it is."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from apigpu.v1 import jobs_pb2 as pb2
from gateway.fleet.fleet import Fleet
from gateway.jobs.manager import JobManager
from gateway.jobs.model import Job, Status
from gateway.jobs.progress import Phase, TaskProgress
from gateway.jobs.start_times import StartTimes
from gateway.services.presenters import Presenter
from gateway.services.progress import furthest_phase, limit_reason, total_progress, waiting_reason


@dataclass(frozen=True)
class Standing:
    """Tells it by what the gateway knows at the moment; `running` is the latest progress of tasks, by their numbers."""

    jobs: JobManager
    presenter: Presenter
    fleet: Fleet
    # Estimates of when jobs begin; None for none.
    starts: StartTimes | None = None

    def queued(self, job: Job, running: Mapping[int, TaskProgress]) -> pb2.Queued:
        """Return the place of a job that waits, why it does, and when it is expected to begin."""
        index = self.jobs.store.index
        phase = furthest_phase(job, running)
        reason = waiting_reason(running) or limit_reason(index.order, job.lane)
        reason = reason if phase is Phase.WAITING_FOR_WORKER else None
        if phase is Phase.WAITING_FOR_WORKER and not reason and self.fleet.is_starting():
            phase = Phase.COLD_START
        starts_in = self.starts.seconds(job) if self.starts is not None and not reason else None
        place, name = index.place(job.id), pb2.Phase.Value(phase)
        return pb2.Queued(place=place, phase=name, reason=reason, starts_in_seconds=starts_in)

    def progress(self, job: Job, running: Mapping[int, TaskProgress]) -> pb2.Progress:
        """Return how far a job is that runs."""
        progress = total_progress(job, running)
        if cost := self.presenter.cost(job, time.time()):
            progress.cost_usd = cost.usd
        if preview := self.presenter.preview(job):
            progress.preview.CopyFrom(preview)
        return progress

    def add(self, message: pb2.Job, job: Job) -> None:
        """Add to the message of a job where it stands."""
        running = self.jobs.progress.latest(job.id)
        if job.status is Status.IN_QUEUE:
            message.queued.CopyFrom(self.queued(job, running))
        elif job.status is Status.IN_PROGRESS:
            message.progress.CopyFrom(self.progress(job, running))

    def told(self, job: Job) -> pb2.Job:
        """Return the message of a job with where it stands."""
        message = self.presenter.job(job)
        self.add(message, job)
        return message
