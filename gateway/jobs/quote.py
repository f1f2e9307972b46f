"""Dry runs: what a job would do and take, and all that is wrong with it, without making it.

An encoder plans each task as it would that of a job, and stops there, so that both say the same. Nothing is queued,
recorded or stored, and what is opened is closed again: a dry run is a call, which ends with its caller.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import jobs_pb2, video_pb2
from gateway.callers import caller
from gateway.fleet.fleet import Fleet
from gateway.fleet.speeds import JobEstimate, WorkItem
from gateway.jobs import checks, drafts, graph, model, operation, options
from gateway.jobs.drafts import FaultList, RequestPlace, SourceLook, SourceLooks
from gateway.jobs.fairness import NORMAL
from gateway.jobs.manager import JobManager
from gateway.jobs.model import Failure, Job
from gateway.sources.prefetch import Prefetcher
from gateway.workers.base import EncodeJob, EncoderBusy, Input, InputFailed, ResumableEncoder
from gateway.workers.pool import Pool, PoolMember
from servicekit.chunks import Data
from servicekit.concurrency import ConcurrencyLimit
from servicekit.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, ServiceError
from servicekit.tasks import cancel_and_wait

# Of a gateway at once; each is a call that may last for so long.
MAX_QUOTES, QUOTE_SECONDS = 16, 60.0
# For a slot of an encoder: where all are at work, the inputs are not looked into.
LEASE_SECONDS = 10.0
# Tasks of one dry run that are planned, and side by side.
MAX_PLANNED, PLANS_AT_ONCE = 100, 4
MAX_UNKNOWN = 20
TOO_MANY = "TOO_MANY_ITEMS"
# What of an encoder is about the task; anything else is about the encoder.
LASTING = (InvalidArgument, FailedPrecondition, NotFound, ResourceExhausted)
NO_ENCODER = "no encoder is there that could look into the inputs"
NO_SLOT = "all encoders are at work, and none looked into the inputs"
NEEDS_OTHERS = "what depends on results of other steps is known once they are there"


@dataclass(frozen=True)
class PlannedResult:
    """What a task would make: the caller's name for it, its operation, and what the encoder's plan says."""

    item: str
    operation: str
    plan: encoder_pb2.Summary


@dataclass(frozen=True)
class JobQuote:
    """What a dry run found. `tasks` counts them; `failure` is one of all `faults`; `unknown` is what could not be
    found out, and why."""

    job_id: str
    operation: str
    asked_at: float
    tasks: int
    metadata: tuple[tuple[str, str], ...]
    tenant: str
    failure: Failure | None
    faults: tuple[Failure, ...]
    results: tuple[PlannedResult, ...]
    unknown: tuple[str, ...]
    estimates: tuple[JobEstimate, ...]
    jobs_ahead: int


class NamedLook(NamedTuple):
    """A source, the paths of the fields that name it, and what was found of it."""

    source: str
    paths: list[str]
    look: SourceLook


class PlanEvents:
    """Callbacks of a run that plans alone: there is nothing to tell of it."""

    is_shutting_down = False

    async def waiting(self, *, is_starting: bool, reason: str = "") -> None:
        """Do nothing."""

    async def started(self) -> None:
        """Do nothing."""

    async def progress(self, progress: encoder_pb2.EncodeProgress) -> None:
        """Raise EncoderBusy: an encoder of before there were dry runs carries the task out."""
        raise EncoderBusy("the encoder is of an earlier version, which knows no dry runs")

    async def chunk(self, data: Data) -> None:
        """Raise EncoderBusy, as `progress` does."""
        await self.progress(encoder_pb2.EncodeProgress())

    async def file(self, name: str, content_type: str) -> None:
        """Raise EncoderBusy, as `progress` does."""
        await self.progress(encoder_pb2.EncodeProgress())


@dataclass
class _Findings:
    """What is found while a dry run goes on."""

    faults: FaultList = field(default_factory=FaultList)
    results: dict[int, PlannedResult] = field(default_factory=dict)
    unknown: dict[str, None] = field(default_factory=dict)

    def note(self, text: str) -> None:
        """Note what could not be found out."""
        if len(self.unknown) < MAX_UNKNOWN:
            self.unknown[f"{text.rstrip('.')}."] = None


@dataclass(eq=False)
class Quoter:
    """Makes dry runs. Raises InvalidArgument where not even the operation is known, ResourceExhausted for too many at
    once."""

    jobs: JobManager
    pool: Pool
    fleet: Fleet
    prefetcher: Prefetcher
    # Places of dry runs; one caller alone leaves the next one some.
    limit: ConcurrencyLimit = field(default_factory=lambda: ConcurrencyLimit(MAX_QUOTES, "dry runs"), init=False)

    async def quote(self, wanted: video_pb2.Operation, said: jobs_pb2.JobOptions, base_url: str) -> JobQuote:
        """Return what a job would do, and all that is wrong with it."""
        name, _ = operation.kind(wanted)
        async with self.limit.hold(caller.get().key_id):
            found = _Findings()
            wanted, job, metadata = await self._draft(wanted, said, base_url, found)
            if job is not None:
                await self._look(wanted, job, found)
        return self._quote(name, job, metadata, found)

    async def _draft(
        self, wanted: video_pb2.Operation, said: jobs_pb2.JobOptions, base_url: str, found: _Findings
    ) -> tuple[video_pb2.Operation, Job | None, tuple[tuple[str, str], ...]]:
        """Return the operation without what is wrong with it, and the job that it would be; None where it could be
        none."""
        faults, checked = found.faults, options.CheckedOptions(None, (), NORMAL)
        with faults.gathering():
            checks.check(wanted, self.jobs.policy.max_items)
        if any(fault.reason == TOO_MANY for fault in faults.errors):
            return wanted, None, ()
        wanted = operation.inline_texts(wanted)
        for path, source in drafts.input_paths(wanted):
            if not (graph.is_graph(wanted) and graph.is_reference(source)):
                with faults.gathering(path):
                    self.jobs.sources.check(source)
        with faults.gathering():
            checked = await self.jobs.checked_options(said, base_url)
        for path in faults.fields:
            drafts.clear(operation.kind(wanted)[1], path)
        with faults.gathering():
            job = self.jobs.new_job(wanted, checked)
            with faults.gathering():
                if self.jobs.place_output is not None:
                    await self.jobs.place_output(job, said.output)
            with faults.gathering():
                self.jobs.check_cost(job)
            with faults.gathering():
                async with self.jobs.admit(job):  # and no place of its tenant held
                    pass
            return wanted, job, checked.metadata
        return wanted, None, checked.metadata

    async def _look(self, wanted: video_pb2.Operation, job: Job, found: _Findings) -> None:
        """Look at the inputs of a job, and have its tasks planned, in the time that there is."""
        ready = [index for index, task in enumerate(job.tasks) if not task.needs]
        if len(ready) < len(job.tasks):
            found.note(NEEDS_OTHERS)
        if len(ready) > MAX_PLANNED:
            found.note(f"only the first {MAX_PLANNED} of {len(ready)} tasks were planned")
        turns = asyncio.Semaphore(PLANS_AT_ONCE)
        # What is held of inputs goes once no plan reads it any more.
        async with contextlib.AsyncExitStack() as held, contextlib.AsyncExitStack() as stack:
            looks = SourceLooks(self.prefetcher, caller.get().tenant, held)
            stack.push_async_callback(looks.close)
            planning = [
                asyncio.create_task(self._plan(RequestPlace.of(wanted, job, index), job, index, looks, turns, found))
                for index in ready[:MAX_PLANNED]
            ]
            stack.push_async_callback(cancel_and_wait, *planning)
            if planning:
                await asyncio.wait(planning, timeout=QUOTE_SECONDS)
            if not all(task.done() for task in planning):
                found.note(f"not all inputs could be looked at within {QUOTE_SECONDS:g} s")
        for task in planning:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _plan(
        self, place: RequestPlace, job: Job, index: int, looks: SourceLooks, turns: asyncio.Semaphore, found: _Findings
    ) -> None:
        """Have one task planned with those of its inputs that can be opened."""
        wanted = graph.task_operation(job, index)
        sources = operation.distinct_inputs(operation.kind(wanted)[1])
        async with turns:
            seen = await looks.all(source for source, _ in sources)
            taken = [NamedLook(source, paths, look) for (source, paths), look in zip(sources, seen, strict=True)]
            for entry in taken:
                self._note_look(place, entry, found)
            taken = [entry for entry in taken if entry.look.open is not None]
            is_partial = len(taken) < len(sources) or bool(found.faults.fields)
            try:
                plan = await self._planned(wanted, taken, looks)
            except EncoderBusy as error:
                found.note(error.message)
            except InputFailed as failed:
                self._note_input(place, failed.error, found)
            except LASTING as error:
                if (told := place.renamed(error, is_partial=is_partial)) is not None:
                    found.faults.add(told)
            except ServiceError as error:
                found.note(f"the encoder that looked into the inputs failed: {error.message}")
            else:
                item = job.tasks[index].item if job.batch or job.graph else ""
                found.results[index] = PlannedResult(item, job.kind(index), plan)

    def _note_input(self, place: RequestPlace, error: ServiceError, found: _Findings) -> None:
        """Note an input that could not be read to its end."""
        if not isinstance(error, LASTING) or error.reason == drafts.TOO_LARGE:
            found.note(error.message)
        elif (told := place.renamed(error)) is not None:
            found.faults.add(told)

    def _note_look(self, place: RequestPlace, entry: NamedLook, found: _Findings) -> None:
        if entry.look.error is not None:
            found.faults.add(place.about(entry.paths, entry.look.error))
        if entry.look.unknown:
            found.note(f"{place.name(entry.paths[0])}: {entry.look.unknown}")

    async def _planned(
        self, wanted: video_pb2.Operation, taken: Sequence[NamedLook], looks: SourceLooks
    ) -> encoder_pb2.Summary:
        """Return the plan of an encoder, with the ends of large inputs, and where these are not enough with the whole
        of those that are not too large."""
        try:
            return await self._run(wanted, taken)
        except LASTING as error:
            outlined = {path for entry in taken if entry.look.is_outline for path in entry.paths}
            # What stands in the hole may be what the fault is about.
            is_of_hole = not error.fields or not outlined.isdisjoint(error.fields)
            if not outlined or not is_of_hole:
                raise
        return await self._run(wanted, [await self._whole(entry, looks) for entry in taken])

    async def _whole(self, entry: NamedLook, looks: SourceLooks) -> NamedLook:
        """Return an input as a whole. Raises InputFailed where it cannot be had."""
        if not entry.look.is_outline:
            return entry
        (look,) = await looks.all([entry.source], whole=True)
        if look.open is None:
            unknown = ResourceExhausted(f"{entry.paths[0]}: {look.unknown}", reason=drafts.TOO_LARGE)
            raise InputFailed(look.error or unknown)
        return NamedLook(entry.source, entry.paths, look)

    async def _run(self, wanted: video_pb2.Operation, taken: Sequence[NamedLook]) -> encoder_pb2.Summary:
        inputs = [
            Input(entry.paths[0], entry.source, entry.look.open, tuple(entry.paths[1:]), entry.look.is_outline)
            for entry in taken
            if entry.look.open is not None
        ]
        workers = self.fleet.workers(self.pool.encoders)
        work = EncodeJob(f"quote-{secrets.token_hex(8)}", wanted, inputs, plan_only=True, workers=workers)
        async with self._slot() as member:
            return (await member.encoder.run(work, PlanEvents())).summary

    @contextlib.asynccontextmanager
    async def _slot(self) -> AsyncIterator[PoolMember]:
        """Lease a slot of an encoder that is called; none is rented for a dry run. Raises EncoderBusy."""
        queued = {member.encoder.name for member in self.pool.members if isinstance(member.encoder, ResumableEncoder)}
        if not any(member.ready and member.encoder.name not in queued for member in self.pool.members):
            raise EncoderBusy(NO_ENCODER)
        try:
            async with asyncio.timeout(LEASE_SECONDS):
                member = await self.pool.lease(queued)
        except TimeoutError as error:
            raise EncoderBusy(NO_SLOT) from error
        try:
            if member.encoder.name in queued:
                raise EncoderBusy(NO_ENCODER)
            yield member
        finally:
            self.pool.release(member)

    def _quote(self, name: str, job: Job | None, metadata: tuple[tuple[str, str], ...], found: _Findings) -> JobQuote:
        work = list(_work(job, found)) if job is not None else []
        job_id = job.id if job is not None else model.new_id(time.time())
        has_own = any(member.ready and not member.is_rented for member in self.pool.members)
        estimates = self.fleet.estimate(work, is_own=has_own) if work and not found.faults.errors else ()
        return JobQuote(
            job_id=job_id,
            operation=name,
            asked_at=time.time(),
            tasks=len(work),
            metadata=metadata,
            tenant=caller.get().tenant,
            failure=found.faults.failure(),
            faults=found.faults.failures(),
            results=tuple(result for _, result in sorted(found.results.items())),
            unknown=tuple(found.unknown),
            estimates=estimates,
            jobs_ahead=self.jobs.store.index.place(job_id) - 1,
        )


def _work(job: Job, found: _Findings) -> Iterator[WorkItem]:
    """Yield the tasks of a job with those that they were planned to go on with; frames are 0 where not known."""
    for index in range(len(job.tasks)):
        planned = found.results.get(index)
        further = planned.plan.further if planned is not None else ()
        yield WorkItem(job.kind(index), planned.plan.frames if planned is not None and not further else 0)
        yield from (WorkItem(task.kind, max(task.frames, 0)) for task in further)
