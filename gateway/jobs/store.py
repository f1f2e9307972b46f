"""Job records: one entry a job, changed by compare-and-set, with an index of all of them kept up by a watch."""

import contextlib
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping

from gateway.callers import DEFAULT_TENANT, caller
from gateway.cluster.duty import Unsettled
from gateway.jetstream.keyvalue import KeyValue
from gateway.jetstream.records import Records, UnreadableRecord
from gateway.jobs import model
from gateway.jobs.claims import Claims
from gateway.jobs.fairness import FairOrder, Lane
from gateway.jobs.followers import Followers
from gateway.jobs.index_entry import NOTHING, IndexEntry
from gateway.jobs.listing import MAX_LOOKED, JobFilter
from gateway.jobs.model import COUNTED, Job, Status
from gateway.jobs.open_work import OpenWork
from gateway.jobs.recent import RecentJobs
from servicekit import log_context
from servicekit.codec import to_json
from servicekit.errors import InvalidArgument, NotFound


class JobIndex:
    """All jobs in memory, by id. Ids sort by time of submission, so their order is that of the queue."""

    def __init__(self) -> None:
        self._known: dict[str, IndexEntry] = {}
        self._ids: list[str] = []
        # The same by tenant, and how many of each status a tenant has.
        self._of_tenants: defaultdict[str, list[str]] = defaultdict(list)
        self._counts: defaultdict[str, Counter[Status]] = defaultdict(Counter)
        # Jobs that no encoder has begun: which lane has the next turn is up to the fair order.
        self._waiting: defaultdict[Lane, list[str]] = defaultdict(list)
        # How many of these an account has.
        self._queued: Counter[str] = Counter()
        # Jobs with a waiting task: those in the queue, and those that have begun.
        self._with_waiting_tasks: list[str] = []
        # Those of them that are to be done by some time.
        self._with_deadline: list[str] = []
        # Ended jobs with results that are to be deleted.
        self._with_intermediates: list[str] = []
        # Jobs with something left to be told to their webhooks.
        self.webhooks = Unsettled()
        # Jobs with results that are to be put where they are wanted.
        self.deliveries = Unsettled()
        # Ended jobs that are to be counted, and those counted ones whose cost may still change.
        self.uncounted: set[str] = set()
        self.uncosted: set[str] = set()
        # What encoders have worked for jobs that are not counted yet.
        self.open_work = OpenWork()
        self.recent = RecentJobs()
        self.followers = Followers(self.is_waiting)
        # Called with the id of a job that is seen to have ended, on whichever gateway.
        self.on_end: list[Callable[[str], None]] = []
        # Called when more tasks wait than before.
        self.on_waiting: list[Callable[[], None]] = []
        self.order = FairOrder()

    def note(self, job_id: str, job: Job | None) -> None:
        """Take in a new job, a new state of a known one, or that its record is gone (None)."""
        now = NOTHING if job is None else IndexEntry.of(job)
        known = self._known.get(job_id)
        if known is not None and job is not None and known.lane != now.lane:
            # A gateway of before there were keys with limits leaves out the key: it is counted where it was no more.
            self.note(job_id, None)
        before = self._known.pop(job_id, None)
        if job is not None:
            self._known[job_id] = now
        was = before or NOTHING
        lane = (was if job is None else now).lane
        for ids, was_there, is_there in (
            (self._ids, before is not None, job is not None),
            (self._waiting[lane], was.status is Status.IN_QUEUE, now.status is Status.IN_QUEUE),
            (self._with_waiting_tasks, bool(was.waiting), bool(now.waiting)),
            (self._with_deadline, bool(was.waiting and was.deadline), bool(now.waiting and now.deadline)),
            (self._with_intermediates, was.has_intermediates, now.has_intermediates),
        ):
            if was_there != is_there:
                _set(ids, job_id, is_there)
        if not self._waiting[lane]:  # no more lanes than there are jobs: a tenant may be seen once
            del self._waiting[lane]
        # A host that is slow to one tenant delays no other at it.
        is_told = job is not None and job.webhook is not None and not job.webhook.is_settled
        self.webhooks.note(job_id, f"{job.tenant} {job.webhook.origin}" if is_told else "")  # type: ignore[union-attr]
        has_moved = job is None or before is None or before.status is not now.status
        self._count(job_id, before, None if job is None else now)
        self.deliveries.note(
            job_id, f"{job.tenant} {job.output.origin}" if job and job.output and job.is_delivering else ""
        )
        counted = job.counted if job and now.status.is_terminal else COUNTED
        _keep(self.uncounted, job_id, counted is None)
        _keep(self.uncosted, job_id, counted is not None and not counted.is_final)
        self.open_work.note(job_id, lane.accounts, None if now.status.is_terminal and counted is not None else job)
        self.recent.note(job_id, job)
        waiting, running = sum(now.waiting.values()) - sum(was.waiting.values()), now.running - was.running
        if waiting or running:
            self.order.count(lane, waiting, running)
        if waiting > 0:
            for filled in self.on_waiting:
                filled()
        if job is not None and has_moved and now.status.is_terminal:
            for listener in self.on_end:
                listener(job_id)
        self.followers.changed(job_id, job)
        if has_moved:
            was_waiting = was.status is Status.IN_QUEUE
            self.followers.moved(job_id, left_queue=was_waiting and now.status is not Status.IN_QUEUE)

    def _count(self, job_id: str, before: IndexEntry | None, now: IndexEntry | None) -> None:
        """Count the job with its tenant."""
        for entry, change in ((before, -1), (now, 1)):
            if entry is not None and entry.status is Status.IN_QUEUE:
                for account in entry.lane.accounts:
                    self._queued[account] += change
                    if not self._queued[account]:
                        del self._queued[account]
        if before is not None:
            self._counts[before.tenant][before.status] -= 1
        if now is not None:
            self._counts[now.tenant][now.status] += 1
        if (known := now or before) is not None and (now is None or before is None):
            _set(self._of_tenants[known.tenant], job_id, now is not None)
            if not self._of_tenants[known.tenant]:
                del self._of_tenants[known.tenant], self._counts[known.tenant]

    def counts(self, tenant: str | None = None) -> dict[Status, int]:
        """Return the number of jobs by status, of a tenant (None: of all)."""
        names = list(self._counts) if tenant is None else [tenant] if tenant in self._counts else []
        found = {status: sum(self._counts[name][status] for name in names) for status in Status}
        return {status: count for status, count in found.items() if count}

    def newest(self, wanted: JobFilter, before: str, most: int = MAX_LOOKED) -> tuple[list[str], str]:
        """Return the ids among which the jobs of a list are, the newest first, of those before the id `before` ("": of
        all), `most` of them; and the id before which it goes on ("" at the end)."""
        ids = self._ids if wanted.tenant is None else self._of_tenants.get(wanted.tenant, [])
        first, end = wanted.bounds(before)
        low, high = bisect_left(ids, first), bisect_left(ids, end) if end else len(ids)
        start = max(low, high - most)
        return ids[start:high][::-1], ids[start] if start > low else ""

    def is_listed(self, job_id: str, wanted: JobFilter) -> bool:
        """Return False for a job that is not of a list, or no longer there."""
        entry = self._known.get(job_id)
        return entry is not None and wanted.matches(entry.status, entry.operation, entry.marks)

    def ids(self, is_wanted: Callable[[Status], bool], before: str = "") -> list[str]:
        """Return the ids of jobs by their status, the oldest first, of those before the id `before` ("": of all)."""
        end = bisect_left(self._ids, before) if before else len(self._ids)
        return [job_id for job_id in self._ids[:end] if is_wanted(self._known[job_id].status)]

    def tenant(self, job_id: str) -> str | None:
        """Return whose a job is; None for one that is not known, or not yet."""
        entry = self._known.get(job_id)
        return entry.tenant if entry is not None else None

    def accounts(self, job_id: str) -> tuple[str, ...]:
        """Return whose limits a job is held to: its tenant's and its key's; () for one that is not known."""
        entry = self._known.get(job_id)
        return entry.lane.accounts if entry is not None else ()

    def queued(self, account: str) -> int:
        """Return how many jobs of a tenant, or of a key, no encoder has begun."""
        return self._queued[account]

    def with_intermediates(self) -> list[str]:
        """Return the ids of ended jobs with results that are to be deleted."""
        return list(self._with_intermediates)

    def is_open(self, job_id: str) -> bool:
        """Return True for a job that has not ended, as far as it is known here."""
        found = self._known.get(job_id)
        return found is not None and not found.status.is_terminal

    def is_graph(self, job_id: str) -> bool:
        """Return True for a job whose tasks need each other's results."""
        return self._known.get(job_id, NOTHING).is_graph

    def operation(self, job_id: str) -> str:
        """Return the operation of a job, "" where it is not known."""
        return self._known.get(job_id, NOTHING).operation

    def unfit(self, job_id: str, index: int, since: float) -> list[str]:
        """Return the encoders that failed a task by a fault of their own since then."""
        found = self._known.get(job_id, NOTHING).unfit.get(index, ())
        return [entry.encoder for entry in found if entry.failed_at > since]

    def codec(self, job_id: str, index: int) -> str:
        """Return the codec that a task must be made with; "" for any."""
        return self._known.get(job_id, NOTHING).codecs.get(index, "")

    @property
    def tasks_waiting(self) -> int:
        """How many tasks wait for an encoder."""
        return self.order.waiting.total()

    @property
    def tasks_running(self) -> int:
        """How many tasks run."""
        return self.order.running.total()

    def is_waiting(self, job_id: str) -> bool:
        """Return True for a job that no encoder has begun."""
        return self._known.get(job_id, NOTHING).status is Status.IN_QUEUE

    def waiting_work(self, lane: Lane, most: int) -> tuple[list[Mapping[str, int]], list[Mapping[str, int]]]:
        """Return the waiting tasks, by kind, of the jobs of a lane in their order: of those that have begun, and of
        those that have not; `most` of each."""
        begun = (self._known[job_id] for job_id in self._with_waiting_tasks[:most])
        return (
            [one.waiting for one in begun if one.lane == lane and one.status is Status.IN_PROGRESS],
            [self._known[job_id].waiting for job_id in self._waiting[lane][:most]] if lane in self._waiting else [],
        )

    def tasks_at_work(self, job_id: str) -> int:
        """Return how many tasks of a job can be done, or are being done."""
        entry = self._known.get(job_id, NOTHING)
        return sum(entry.waiting.values()) + entry.running

    def place(self, job_id: str) -> int:
        """Return the place of a waiting job in its lane of the queue, from 1; of one that is not known, in none."""
        return bisect_left(self._waiting.get(self._known.get(job_id, NOTHING).lane, []), job_id) + 1

    @property
    def tasks_held_back(self) -> int:
        """How many tasks wait that limits of their tenants and keys do not let run now."""
        return self.order.held_back().total()

    def oldest_wait_seconds(self, now: float) -> float:
        """Return the seconds since the oldest job with a waiting task was submitted, those of tenants and keys at their
        limits left out; 0 without one."""
        held = self.order.held_back().keys()
        waiting = (job_id for job_id in self._with_waiting_tasks if held.isdisjoint(self.accounts(job_id)))
        oldest = next(waiting, None)
        return max(0.0, now - model.id_time(oldest)) if oldest is not None else 0.0

    def deadlines(self) -> list[tuple[float, int]]:
        """Return when jobs are to be done (Unix seconds), and how many of their tasks wait for an encoder."""
        found = (self._known[job_id] for job_id in self._with_deadline)
        return [(entry.deadline, sum(entry.waiting.values())) for entry in found]

    def operations_waiting(self) -> dict[str, int]:
        """Return the number of waiting tasks by operation."""
        counts: Counter[str] = Counter()
        for job_id in self._with_waiting_tasks:
            counts.update(self._known[job_id].waiting)
        return dict(counts)


def _set(ids: list[str], job_id: str, wanted: bool) -> None:
    """Put the id in its place, or take it out."""
    at = bisect_left(ids, job_id)
    there = at < len(ids) and ids[at] == job_id
    if wanted and not there:
        ids.insert(at, job_id)
    elif there and not wanted:
        del ids[at]


def _keep(ids: set[str], job_id: str, wanted: bool) -> None:
    """Put the id into a set, or take it out."""
    (ids.add if wanted else ids.discard)(job_id)


# A job that goes on and was seen within that time need not be read by who begins to follow it: its changes are told.
SEEN_SECONDS = 1.0
# An id that no job has.
NO_ID = "0" * 32
# What a task's result, or the text of its failure, may add to a record. Attempts before are not counted: a record that
# is as large as may be is stored compressed, by more than they add.
GROWTH_BYTES = 1024


class JobStore(Records[Job]):
    """The records of jobs, by id, and the index of them. Errors: NotFound (no such job), and those of Records."""

    def __init__(self, bucket: KeyValue, claims: Claims, retention_seconds: float) -> None:
        """`retention_seconds`: how long the record of a job, and its claim, is kept after its end."""
        super().__init__(bucket, Job, "job", missing="Job ID does not exist", keeps_values=False)
        self.claims = claims
        self._retention_seconds = retention_seconds
        self.index = JobIndex()
        self.listeners.append(self.index.note)
        # Awaited with each job whose record is about to be deleted.
        self.on_prune: list[Callable[[Job], Awaitable[None]]] = []

    async def add(self, job: Job) -> None:
        """Write a new job; on return it is on disk. Raise InvalidArgument for one that is too large, Aborted for an id
        that there is already."""
        self.check_size(job)
        await self.create(job.id, job)

    def check_size(self, job: Job) -> None:
        """Raise InvalidArgument for a job that is too large to be stored, or may become so."""
        if len(to_json(job)) + GROWTH_BYTES * len(job.tasks) > self.bucket.max_value_bytes:
            raise InvalidArgument("The request is too large to be kept as one job; send several.", reason="TOO_LARGE")

    async def get(self, key: str) -> Job:
        """Return the job as the store has it."""
        job = await super().get(key)
        if job is None:
            raise self.not_found(key)
        return job

    def seen_ready(self, key: str, index: int) -> Job | None:
        """Return a job as it was seen last; None where that is not known, or a task of it was not ready then."""
        job = self.seen(key)
        return job if job is not None and index < len(job.tasks) and job.is_ready(index) else None

    async def latest(self, key: str, max_age_seconds: float) -> Job:
        """Return a job that is followed as it was seen within that time, else as the store has it."""
        followed = self.index.followers.jobs.get(key)
        if followed is None:
            return await self.get(key)
        seen = self.seen(key, SEEN_SECONDS) if followed.job is None else None
        if seen is not None and not seen.status.is_terminal:
            followed.job, followed.known_at = seen, time.monotonic() - SEEN_SECONDS
        return await followed.latest(lambda: self.get(key), max_age_seconds)

    def followed(self, key: str, max_age_seconds: float) -> Job | None:
        """Return a job that is followed, and that the caller may see, as it was seen within that time; None where that
        is not known."""
        followed = self.index.followers.jobs.get(key)
        job = followed.job if followed is not None else None
        if followed is None or job is None or time.monotonic() - followed.known_at > max_age_seconds:
            return None
        return job if caller.get().may_see(job.tenant) else None

    async def _read(self, key: str) -> tuple[Job, int] | None:
        # Ids come from callers; what is no id may be no valid key either.
        return await super()._read(key) if model.ID.fullmatch(key) else None

    def is_for_later(self, value: Job) -> bool:
        """Return True for a job that gateways of before there were tenants and outputs would make another's."""
        return value.tenant != DEFAULT_TENANT or value.output is not None

    async def visible(self, key: str, max_age_seconds: float | None = None) -> Job:
        """Return a job that the caller of the call in progress may see, as `get` does, or as `latest`. Raise NotFound
        for another, in the time that it takes for one that there is not."""
        found = self.index.tenant(key)
        if found is not None and not caller.get().may_see(found):
            await self.get(NO_ID)
        job = await (self.get(key) if max_age_seconds is None else self.latest(key, max_age_seconds))
        if not caller.get().may_see(job.tenant):
            raise self.not_found(key)
        log_context.learn(job=job.id)
        return job

    async def page(self, wanted: JobFilter, size: int, before: str) -> tuple[list[Job], str]:
        """Return jobs of a list before the id `before` ("" for all), newest first, and the id to go on from ("" at the
        end)."""
        jobs: list[Job] = []
        ids, rest = self.index.newest(wanted, before)
        for job_id in ids:
            if not self.index.is_listed(job_id, wanted):
                continue
            if len(jobs) == size:
                return jobs, jobs[-1].id
            with contextlib.suppress(NotFound, UnreadableRecord):
                job = await self.get(job_id)
                jobs += [job] if wanted.has(job) else []
        return jobs, rest

    async def prune(self, now: float) -> None:
        """Delete the records of jobs that ended longer ago than the retention."""
        oldest = now - self._retention_seconds
        for job_id in self.index.ids(lambda status: status.is_terminal, model.first_id(oldest)):
            with contextlib.suppress(NotFound, UnreadableRecord):
                job = await self.get(job_id)
                if job.ended_at is not None and job.ended_at < oldest:
                    if job.claim:
                        await self.claims.drop(job.claim)
                    for listener in self.on_prune:
                        await listener(job)
                    await self.delete(job_id)
