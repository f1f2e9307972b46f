"""Who follows jobs on this gateway: woken when a job, or its place in the queue, changes; and the job, read once."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from gateway.jobs.model import Job

# Places in the queue are told so much later, for all moves meanwhile.
PLACES_SECONDS = 0.25
# Results that go along with the news of a job's end have no more.
MAX_OFFERED_BYTES = 64 * 1024
# A result that was stored longer ago is read from the store by who is told of the job's end.
RESULT_SECONDS = 1.0


class Follower(asyncio.Event):
    """Set when what is followed changes. `result` is the small one that was stored last while it was followed."""

    def __init__(self) -> None:
        super().__init__()
        # The name of its asset, and its bytes.
        self._result = ("", b"")

    def offer(self, asset: str, data: bytes) -> None:
        """Take in a result that was stored just now, whose name nobody knows yet."""
        self._result = (asset, data)

    def forget(self, asset: str) -> None:
        """Hold the result no longer, unless there is a later one."""
        if self._result[0] == asset:
            self._result = ("", b"")

    def result(self, asset: str) -> bytes:
        """Return the bytes of a result that is held, by the name of its asset; b"" of any other."""
        known, data = self._result
        return data if known == asset else b""


@dataclass(eq=False)
class FollowedJob:
    """A job that is followed: the events of its followers, and what is known of it since `known_at` (monotonic)."""

    events: set[Follower] = field(default_factory=set)
    job: Job | None = None
    known_at: float = 0.0
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    def note(self, job: Job | None) -> None:
        """Take in what the job has become (None: it is gone), and wake its followers."""
        self.job, self.known_at = job, time.monotonic()
        for event in self.events:
            event.set()

    def forget_result(self, asset: str) -> None:
        """Have no follower hold a result any longer."""
        for event in self.events:
            event.forget(asset)

    async def latest(self, read: Callable[[], Awaitable[Job]], max_age_seconds: float) -> Job:
        """Return the job as it was seen within that time; else `read` it, once for all who ask meanwhile."""
        async with self._reading:
            if self.job is None or time.monotonic() - self.known_at > max_age_seconds:
                asked_at, job = time.monotonic(), await read()
                if self.job is None or self.known_at < asked_at:  # what came meanwhile is newer
                    self.job, self.known_at = job, asked_at
            return self.job


class Followers:
    """The followers of all jobs, and of the queue."""

    def __init__(self, is_waiting: Callable[[str], bool]) -> None:
        """`is_waiting` tells whether a job is in the queue."""
        self.jobs: dict[str, FollowedJob] = {}
        self._is_waiting = is_waiting
        self._of_places: dict[asyncio.Event, str] = {}
        self.of_queue: set[asyncio.Event] = set()
        # The first job that has left the queue since places were told.
        self._first_left = ""
        self._telling: asyncio.TimerHandle | None = None

    @contextlib.contextmanager
    def following(self, job_id: str, *, place: bool = False) -> Iterator[Follower]:
        """Return an event that is set when the job changes, and with `place` when one before it leaves the queue."""
        event, followed = Follower(), self.jobs.setdefault(job_id, FollowedJob())
        followed.events.add(event)
        if place:
            self._of_places[event] = job_id
        try:
            yield event
        finally:
            self._of_places.pop(event, None)
            followed.events.discard(event)
            if not followed.events and self.jobs.get(job_id) is followed:
                del self.jobs[job_id]

    @contextlib.contextmanager
    def following_queue(self) -> Iterator[asyncio.Event]:
        """Return an event that is set when any job changes its status."""
        event = asyncio.Event()
        self.of_queue.add(event)
        try:
            yield event
        finally:
            self.of_queue.discard(event)

    def changed(self, job_id: str, job: Job | None) -> None:
        """Wake the followers of a job that has changed, or whose record is gone (None)."""
        if (followed := self.jobs.get(job_id)) is not None:
            followed.note(job)

    def offer(self, job_id: str, asset: str, data: bytes, seconds: float = RESULT_SECONDS) -> None:
        """Give a small result that was stored just now to those who follow its job, for so long, before its record
        names it: they are told of the job's end a moment later, and need not read it from the store again."""
        if data and (followed := self.jobs.get(job_id)) is not None:
            for event in followed.events:
                event.offer(asset, data)
            asyncio.get_running_loop().call_later(seconds, followed.forget_result, asset)

    def wake_all(self) -> None:
        """Wake all followers, of jobs and of the queue."""
        for event in (*self.of_queue, *(event for followed in self.jobs.values() for event in followed.events)):
            event.set()

    def moved(self, job_id: str, *, left_queue: bool) -> None:
        """Wake the followers of the queue, as a job has changed its status; soon those behind it, if it left."""
        for event in self.of_queue:
            event.set()
        if not left_queue or not self._of_places:
            return
        self._first_left = min(self._first_left or job_id, job_id)
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(PLACES_SECONDS, self._tell_places)

    def _tell_places(self) -> None:
        first, self._first_left, self._telling = self._first_left, "", None
        for event, job_id in self._of_places.items():
            if job_id > first and self._is_waiting(job_id):
                event.set()
