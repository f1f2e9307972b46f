"""Which job is served next: by time, with few places for each host, so that a slow one delays no other."""

import heapq
from collections import Counter, deque
from dataclasses import dataclass, field


@dataclass
class Schedule:
    """Jobs by the time at which they are to be served, and those that are being served."""

    max_per_origin: int
    max_open: int
    _times: list[tuple[float, str]] = field(default_factory=list)
    # The time that counts for a job, of those in the heap.
    _next: dict[str, float] = field(default_factory=dict)
    _ready: dict[str, deque[str]] = field(default_factory=dict)
    _is_ready: set[str] = field(default_factory=set)
    _open: dict[str, str] = field(default_factory=dict)
    _per_origin: Counter[str] = field(default_factory=Counter)

    def add(self, job_id: str, at: float) -> None:
        """Serve the job at that time, or before if that is set already."""
        if job_id in self._is_ready or at >= self._next.get(job_id, float("inf")):
            return
        self._next[job_id] = at
        heapq.heappush(self._times, (at, job_id))

    @property
    def next_at(self) -> float | None:
        """When the next job is due; None without one."""
        self._drop_stale()
        return self._times[0][0] if self._times else None

    def make_ready(self, now: float) -> list[str]:
        """Return the jobs that have become due; each is to be given to `wait`."""
        due = []
        self._drop_stale()
        while self._times and self._times[0][0] <= now:
            _, job_id = heapq.heappop(self._times)
            del self._next[job_id]
            due.append(job_id)
            self._drop_stale()
        return due

    def wait(self, job_id: str, origin: str) -> None:
        """Let a job that is due wait for a place."""
        self._is_ready.add(job_id)
        self._ready.setdefault(origin, deque()).append(job_id)

    def take(self) -> list[str]:
        """Return the jobs that get a place, the hosts in turn; each is to be given to `leave`."""
        taken: list[str] = []
        is_moving = True
        while is_moving and len(self._open) < self.max_open:
            is_moving = False
            for origin in list(self._ready):
                if len(self._open) < self.max_open and (job_id := self._take_of(origin)) is not None:
                    taken.append(job_id)
                    is_moving = True
        return taken

    def leave(self, job_id: str) -> None:
        """Give the place of a job back."""
        origin = self._open.pop(job_id)
        self._per_origin[origin] -= 1
        if not self._per_origin[origin]:
            del self._per_origin[origin]

    def has_place(self, origin: str) -> bool:
        """Return True if one more call of this host may begin."""
        return self._per_origin[origin] < self.max_per_origin and len(self._open) < self.max_open

    def _take_of(self, origin: str) -> str | None:
        if self._per_origin[origin] >= self.max_per_origin:
            return None
        # A job that is being served waits for the end of that, behind the others.
        waiting = self._ready[origin]
        for _ in range(len(waiting)):
            job_id = waiting.popleft()
            if job_id in self._open:
                waiting.append(job_id)
                continue
            self._is_ready.discard(job_id)
            self._open[job_id] = origin
            self._per_origin[origin] += 1
            if not waiting:
                del self._ready[origin]
            return job_id
        return None

    def _drop_stale(self) -> None:
        while self._times and self._next.get(self._times[0][1]) != self._times[0][0]:
            heapq.heappop(self._times)
