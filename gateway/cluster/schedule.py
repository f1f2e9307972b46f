"""Which job is served next: by time, with few places for each host and each tenant, so that what is slow delays nothing
of others."""

import heapq
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field

# Of all places that one tenant may have.
TENANT_SHARE = 0.75


def tenant_of(origin: str) -> str:
    """Return whose jobs are at an origin, "tenant host": each tenant has places of its own at a host."""
    return origin.partition(" ")[0]


@dataclass
class Schedule:
    """Jobs by the time at which they are to be served, and those that are being served.

    What it does for a job does not depend on how many wait, at whichever hosts.
    """

    max_per_origin: int
    max_open: int
    _times: list[tuple[float, str]] = field(default_factory=list)
    # The time that counts for a job, of those in the heap.
    _next: dict[str, float] = field(default_factory=dict)
    # Jobs that wait for a place, by tenant and origin, and those at origins that have none to give.
    _ready: dict[str, OrderedDict[str, deque[str]]] = field(default_factory=dict)
    _parked: dict[str, deque[str]] = field(default_factory=dict)
    _is_ready: set[str] = field(default_factory=set)
    _open: dict[str, str] = field(default_factory=dict)
    _per_origin: Counter[str] = field(default_factory=Counter)
    _per_tenant: Counter[str] = field(default_factory=Counter)

    @property
    def max_per_tenant(self) -> int:
        """Places that one tenant may have."""
        return max(1, int(self.max_open * TENANT_SHARE))

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
        parked = self._parked.get(origin)
        (self._waiting(origin) if parked is None else parked).append(job_id)

    def take(self) -> list[str]:
        """Return the jobs that get a place, the tenant with the fewest first, its hosts in turn; each is to be given to
        `leave`."""
        taken: list[str] = []
        while len(self._open) < self.max_open:
            free = (tenant for tenant in self._ready if self._per_tenant[tenant] < self.max_per_tenant)
            tenant = min(free, key=self._per_tenant.__getitem__, default=None)
            if tenant is None:
                break
            if (job_id := self._take_of(tenant)) is not None:
                taken.append(job_id)
        return taken

    def leave(self, job_id: str) -> None:
        """Give the place of a job back."""
        origin = self._open.pop(job_id)
        for counts, name in ((self._per_origin, origin), (self._per_tenant, tenant_of(origin))):
            counts[name] -= 1
            if not counts[name]:
                del counts[name]
        if (parked := self._parked.pop(origin, None)) is not None:
            self._waiting(origin).extend(parked)

    def has_place(self, origin: str) -> bool:
        """Return True if one more call of this host may begin."""
        is_free = self._per_tenant[tenant_of(origin)] < self.max_per_tenant and len(self._open) < self.max_open
        return is_free and self._per_origin[origin] < self.max_per_origin

    def _waiting(self, origin: str) -> deque[str]:
        return self._ready.setdefault(tenant_of(origin), OrderedDict()).setdefault(origin, deque())

    def _take_of(self, tenant: str) -> str | None:
        """Take a job of the host of a tenant whose turn it is; None where that has no place to give."""
        origins = self._ready[tenant]
        origin, waiting = origins.popitem(last=False)
        job_id = self._next_of(waiting) if self._per_origin[origin] < self.max_per_origin else None
        if job_id is None:
            self._parked[origin] = waiting
        else:
            self._is_ready.discard(job_id)
            self._open[job_id] = origin
            self._per_origin[origin] += 1
            self._per_tenant[tenant] += 1
            if waiting:
                origins[origin] = waiting
        if not origins:
            del self._ready[tenant]
        return job_id

    def _next_of(self, waiting: deque[str]) -> str | None:
        """Return the first that is not being served: such a one waits for the end of that, behind the others."""
        for _ in range(len(waiting)):
            job_id = waiting.popleft()
            if job_id not in self._open:
                return job_id
            waiting.append(job_id)
        return None

    def _drop_stale(self) -> None:
        while self._times and self._next.get(self._times[0][1]) != self._times[0][0]:
            heapq.heappop(self._times)
