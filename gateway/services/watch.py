"""Follows one job: what its record and its tasks' progress say, as a stream of events without repeats."""

import time
from collections.abc import AsyncIterator, Iterator

from apigpu.v1 import jobs_pb2
from gateway.fleet.fleet import Fleet
from gateway.jobs.manager import JobManager
from gateway.jobs.model import Job, Status
from gateway.jobs.progress import Phase, TaskProgress
from gateway.services.presenters import Presenter


class JobWatch:
    """One caller's view of one job."""

    def __init__(self, jobs: JobManager, messages: Presenter, fleet: Fleet, base_url: str) -> None:
        self._jobs = jobs
        self._messages = messages
        self._fleet = fleet
        self._base_url = base_url
        self._running: dict[int, TaskProgress] = {}
        self._told: set[int] = set()
        self._last: jobs_pb2.WatchJobResponse | None = None

    async def events(self, job_id: str) -> AsyncIterator[jobs_pb2.WatchJobResponse]:
        """The events until the job has ended; see jobs.proto. Raises NotFound, Unavailable."""
        await self._jobs.get(job_id)  # what is no id must not become a topic
        with self._jobs.index.listening(job_id, queue=True) as changed:

            def told(index: int, progress: TaskProgress) -> None:
                self._running[index] = progress
                changed.set()

            async with self._jobs.progress.subscribe(job_id, told):
                while (job := await self._jobs.latest(job_id)) is None or not job.status.is_terminal:
                    for event in self._new_events(job) if job else ():
                        yield event
                    await self._jobs.next_change(changed, job_id)
        for event in self._items(job):
            yield event
        yield jobs_pb2.WatchJobResponse(finished=self._messages.job(job, self._base_url))

    def _new_events(self, job: Job) -> Iterator[jobs_pb2.WatchJobResponse]:
        yield from self._items(job)
        if job.status is Status.IN_QUEUE:
            phase = furthest(job, self._running)
            if phase is Phase.WAITING_FOR_WORKER and self._fleet.is_starting():
                phase = Phase.COLD_START
            queued = jobs_pb2.Queued(place=self._jobs.index.place(job.id), phase=_number(phase))
            event = jobs_pb2.WatchJobResponse(queued=queued)
        else:
            progress = total_progress(job, self._running)
            if cost := self._messages.cost(job, time.time()):
                progress.cost_usd = cost.usd
            event = jobs_pb2.WatchJobResponse(progress=progress)
        if event != self._last:
            self._last = event
            yield event

    def _items(self, job: Job) -> Iterator[jobs_pb2.WatchJobResponse]:
        if not job.batch:
            return
        for index, video in enumerate(self._messages.videos(job, self._base_url)):
            if job.tasks[index].status.is_terminal and index not in self._told:
                self._told.add(index)
                yield jobs_pb2.WatchJobResponse(item=video)


def total_progress(job: Job, running: dict[int, TaskProgress]) -> jobs_pb2.Progress:
    """Progress over all tasks. Tasks that have not begun are taken to be as long as the average of those that have."""
    done, totals, fps = 0, [], 0.0
    for index, task in enumerate(job.tasks):
        if task.status.is_terminal:
            done += task.frames
            totals.append(task.frames)
        elif task.status is Status.IN_PROGRESS and index in running:
            done += running[index].frames_done
            fps += running[index].fps
            if running[index].frames_total:
                totals.append(running[index].frames_total)
    known = round(sum(totals) / len(totals) * len(job.tasks)) if totals else 0
    progress = jobs_pb2.Progress(
        frames_done=done,
        frames_total=max(known, done),
        fps=fps,
        processed=job.processed,
        total=len(job.tasks),
        phase=_number(furthest(job, running)),
    )
    if fps > 0 and known:
        progress.seconds_left = round(max(0, known - done) / fps, 1)
    return progress


def furthest(job: Job, running: dict[int, TaskProgress]) -> Phase:
    """The phase of the task that is furthest, of those that have not ended."""
    found = {
        _phase(task.status, running.get(index)) for index, task in enumerate(job.tasks) if not task.status.is_terminal
    }
    return next((phase for phase in (Phase.ENCODING, Phase.COLD_START) if phase in found), Phase.WAITING_FOR_WORKER)


def _phase(status: Status, told: TaskProgress | None) -> Phase:
    if status is Status.IN_PROGRESS:
        return told.phase if told else Phase.ENCODING
    # What was told last may be of a try that is over.
    return told.phase if told and told.phase is not Phase.ENCODING else Phase.WAITING_FOR_WORKER


def _number(phase: Phase) -> jobs_pb2.Phase.ValueType:
    return jobs_pb2.Phase.Value(phase)
