"""Which piece of a film an encoder gets whose slot is free: the first one, in their order, that nobody else would have
done before it, if each piece goes to whoever is done with it soonest. A fast encoder so gets the next piece, which is
the longest, and one of the first that are watched; a slow one gets a shorter piece from further on.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace
from math import inf, log2

from gateway.fleet.estimates import EstimateStore
from gateway.fleet.speeds import WorkItem
from gateway.jobs import further
from gateway.jobs.model import Job
from gateway.jobs.queue import Attempt, TaskQueue, TaskRef
from gateway.jobs.store import JobStore
from gateway.workers.pool import Pool, PoolMember

# Encoders that differ by less count as equally fast: so many steps double the time.
STEPS = 4
# A slot that takes some two times as long as the fastest counts as slower than it is by so much: that is known by few
# pieces, and one that it is late with ends all. Of encoders that differ by less each gets the next piece: what is known
# of them is not so sure that long ones should be left for later, for which all would wait in the end.
SLOWER_STEPS, CAUTION = 4, 1.2
# Before that nothing is to be told from how far a task has come: inputs may be on their way.
TOLD_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot of an encoder: in how many seconds it is free, and by how much longer its pieces take than on most."""

    free_in: float = 0.0
    slowness: float = 1.0

    @property
    def step(self) -> int:
        """How slow it is, in steps."""
        return round(STEPS * log2(self.slowness))


def is_slower(own: Slot, fastest: Slot) -> bool:
    """Return True for a slot that is much slower than the fastest: the next piece may not be for it."""
    return own.step >= fastest.step + SLOWER_STEPS


def soonest_done(pieces: Sequence[float], own: Slot, others: Iterable[Slot]) -> int:
    """Return the first of the pieces, by the seconds that they take most encoders, that a slot has done before all
    others would, each piece going to whichever slot is done with it soonest; the last piece where there is none."""
    free: dict[int, list[float]] = {}
    for slot in others:
        free.setdefault(slot.step, []).append(slot.free_in)
    paces = [(2 ** (step / STEPS), slots) for step, slots in free.items()]
    for _, slots in paces:
        heapify(slots)
    is_late = own.step >= min(free, default=own.step) + SLOWER_STEPS
    own_pace = 2 ** (own.step / STEPS) * (CAUTION if is_late else 1.0)
    for number, seconds in enumerate(pieces):
        found = min(((slots[0] + seconds * pace, slots) for pace, slots in paces), key=lambda one: one[0], default=None)
        if found is None or own.free_in + seconds * own_pace <= found[0]:
            return number
        heapreplace(found[1], found[0])
    return len(pieces) - 1


def left_seconds(attempt: Attempt, expected_seconds: float | None, now: float) -> float:
    """Return in how many seconds an attempt will have ended, by how far it has come, and by what its piece may take its
    encoder; infinite where that is not known."""
    ran_seconds = now - attempt.begun_at if attempt.begun_at else 0.0
    if attempt.share > 0 and ran_seconds > TOLD_SECONDS:
        return ran_seconds * (1 - attempt.share) / attempt.share
    left = expected_seconds - ran_seconds if expected_seconds is not None else inf
    return left if left > 0 else inf


@dataclass(eq=False)
class ExpectedTimes:
    """What pieces of films may take encoders, in seconds, by what this gateway saw them take, and tells the others."""

    pool: Pool
    estimates: EstimateStore

    def learn(self, attempt: Attempt, share: float = 1.0) -> None:
        """Learn from an attempt at a piece how fast its encoder is, by the share of it that was made."""
        if attempt.piece is not None and attempt.begun_at:
            made = share * attempt.piece.frames
            self.pool.learn(attempt.encoder, attempt.piece.film, made, time.time() - attempt.begun_at)
            if (slowness := self.pool.speeds.seen(attempt.encoder)) is not None:
                self.estimates.encoder_seen(attempt.encoder, slowness)

    def usual(self, piece: WorkItem) -> float | None:
        """Return what a piece takes most encoders: by others of its film, else by those of its kind; None where none
        was seen."""
        if (pace := self.pool.speeds.pace(piece.film)) is not None:
            return pace * piece.frames
        known = self.estimates.estimates.speeds.seconds(piece)
        return known.middle if known is not None else None

    def on(self, encoder: str, piece: WorkItem) -> float | None:
        """Return what a piece takes an encoder; None where that is not known."""
        usual = self.usual(piece)
        return usual * self.pool.speeds.slowness(encoder) if usual is not None else None

    def left(self, attempt: Attempt, now: float) -> float:
        """Return in how many seconds an attempt will have ended; infinite where that is not known."""
        expected = self.on(attempt.encoder or attempt.leased, attempt.piece) if attempt.piece else None
        return left_seconds(attempt, expected, now)


@dataclass(eq=False)
class PieceChoice:
    """Chooses the pieces that freed encoders get, by what this gateway knows of all: other jobs' tasks may end, and
    other gateways' encoders be free, sooner or later than that. A piece that nobody takes soon is anybody's again."""

    store: JobStore
    queue: TaskQueue
    pool: Pool
    times: ExpectedTimes
    running: Callable[[], Iterable[Attempt]]
    unfit: Callable[[TaskRef], Sequence[str]]

    async def chosen(self, attempt: Attempt, member: PoolMember) -> Attempt:
        """Return the attempt that an encoder whose slot was leased for one is to get: that one, or at another piece of
        its film."""
        job = self.store.seen(attempt.ref.job_id)
        if job is None or attempt.ref.index >= len(job.tasks):
            return attempt
        piece = further.piece(job, attempt.ref.index)
        if piece is not None and self._is_slower(member):
            wanted = self._wanted(job, attempt.ref, piece, member)
            if wanted and wanted[0] != attempt.ref:
                attempt = await self.queue.exchange(attempt, wanted)
                piece = further.piece(job, attempt.ref.index)
        attempt.piece, attempt.leased = piece, member.encoder.name
        return attempt

    def _is_slower(self, member: PoolMember) -> bool:
        slowness = self.pool.speeds.slowness
        fastest = min((slowness(one.encoder.name) for one in self.pool.members if one.ready), default=1.0)
        return is_slower(Slot(0.0, slowness(member.encoder.name)), Slot(0.0, fastest))

    def _wanted(self, job: Job, ref: TaskRef, piece: WorkItem, member: PoolMember) -> list[TaskRef]:
        """Return the pieces that an encoder may get, the best first; none where nothing is known of such pieces."""
        usual = self.times.usual(piece)
        waiting = self._waiting(job, job.tasks[ref.index].planner)
        if usual is None or ref.index not in waiting:
            return []
        seconds = [usual / piece.frames * job.tasks[index].frames_planned for index in waiting]
        own = Slot(0.0, self.pool.speeds.slowness(member.encoder.name))
        number = soonest_done(seconds, own, self._other_slots(job, ref))
        found = [TaskRef(job.id, index) for index in waiting[number::-1]]
        return [one for one in found if self._may_have(member, job, one)]

    def _may_have(self, member: PoolMember, job: Job, ref: TaskRef) -> bool:
        return member.makes(job.tasks[ref.index].needs_codec) and member.encoder.name not in self.unfit(ref)

    def _waiting(self, job: Job, planner: int | None) -> list[int]:
        """Return the pieces of a film that wait, in their order."""
        in_hand = {attempt.ref.index for attempt in self.running() if attempt.ref.job_id == job.id}
        return [
            index
            for index, task in enumerate(job.tasks)
            if task.planner == planner and task.frames_planned and index not in in_hand and job.is_ready(index)
        ]

    def _other_slots(self, job: Job, ref: TaskRef) -> Iterator[Slot]:
        """Yield the slots that others may have for pieces: those that are free, or about to be, and those with pieces
        in hand."""
        codec = job.tasks[ref.index].needs_codec
        fit = {one.encoder.name for one in self.pool.members if one.ready and one.makes(codec)}
        slowness = {name: self.pool.speeds.slowness(name) for name in fit}
        for member in self.pool.members:
            if (name := member.encoder.name) in fit:
                yield from [Slot(0.0, slowness[name])] * member.free
        now = time.time()
        for attempt in self.running():
            name, own = attempt.encoder or attempt.leased, attempt.ref
            if own == ref or name not in fit:
                continue
            is_done = attempt.is_over or (own.job_id == job.id and job.tasks[own.index].status.is_terminal)
            if (left := 0.0 if is_done else self.times.left(attempt, now)) < inf:
                yield Slot(left, slowness[name])
