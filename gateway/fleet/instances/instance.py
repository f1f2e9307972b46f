"""A rented instance and its state transitions. Pure: no I/O, no clock; times are Unix seconds.

The record of an instance is written (REQUESTED) before the provider is asked to create it, so that whatever is rented
is known to the next gateway after a crash.
"""

import re
import secrets
from dataclasses import dataclass, replace
from enum import StrEnum

HOUR_SECONDS = 3600.0


class InstanceState(StrEnum):
    """Phases in the life of an instance. The values are the stored ones, and the names of Machine.State on the wire."""

    REQUESTED = "PLANNED"
    PROVISIONING = "STARTING"
    READY = "READY"
    TERMINATING = "ENDING"
    TERMINATED = "ENDED"

    @property
    def is_billed(self) -> bool:
        """Return True while the provider may bill us: from REQUESTED on, since a create whose answer was lost may have
        succeeded."""
        return self is not InstanceState.TERMINATED

    @property
    def is_active(self) -> bool:
        """Return True while the instance exists and is not being terminated."""
        return self in (InstanceState.PROVISIONING, InstanceState.READY)


@dataclass(frozen=True, slots=True)
class InstanceAccess:
    """What gateways need to reach one instance and nothing else: PEM of a CA that exists for this instance only, of a
    client's certificate and its key, both signed by that CA, and the session token of the encoder."""

    ca: str
    certificate: str
    key: str
    session_token: str


@dataclass(frozen=True, slots=True)
class InstanceRun:
    """A task that runs on an instance: its key, and when it began."""

    task: str
    started_at: float


@dataclass(frozen=True, slots=True)
class Instance:
    """A rented encoder. Its methods named after events and commands return the instance after them.

    `id` is its label at the provider, `provider_id` the provider's own id, `host` the physical host where the provider
    tells it (left alone after a failure), `address` is host:port. `draining`: it terminates once nothing runs on it.
    `busy_seconds` and `tasks` count ended runs.
    """

    id: str
    provider: str
    usd_per_hour: float
    created_at: float
    state: InstanceState = InstanceState.REQUESTED
    slots: int = 1
    # Seconds from the request to the first task, as promised by its offer.
    setup_seconds: float = 0.0
    description: str = ""
    offer: str = ""
    provider_id: str = ""
    host: str = ""
    address: str = ""
    access: InstanceAccess | None = None
    ready_at: float | None = None
    ended_at: float | None = None
    # When its last task ended; the idle time counts from here.
    used_at: float | None = None
    running: tuple[InstanceRun, ...] = ()
    draining: bool = False
    busy_seconds: float = 0.0
    tasks: int = 0
    reason: str = ""

    @property
    def takes_tasks(self) -> bool:
        """Return True if tasks may be assigned to it once its encoder answers."""
        return self.state.is_active and not self.draining

    def billed_seconds(self, start: float, end: float, now: float) -> float:
        """Return the billed seconds between two times."""
        return max(0.0, min(self.ended_at or now, end) - max(self.created_at, start))

    def usd(self, now: float) -> float:
        """Return its cost until now, or in all once it is terminated."""
        return self.usd_between(self.created_at, now, now)

    def usd_between(self, start: float, end: float, now: float) -> float:
        """Return its cost between two times."""
        return self.usd_per_hour * self.billed_seconds(start, end, now) / HOUR_SECONDS

    def worked_seconds(self, now: float) -> float:
        """Return the seconds that all its slots have worked, summed."""
        return self.busy_seconds + sum(max(0.0, now - run.started_at) for run in self.running)

    def idle_since(self) -> float | None:
        """Return when it ran out of tasks; None while it has some, or is not ready."""
        if self.state is not InstanceState.READY or self.running:
            return None
        return max(self.used_at or 0.0, self.ready_at or self.created_at)

    def runs(self, task: str) -> bool:
        """Return True if the task runs on it."""
        return any(run.task == task for run in self.running)

    def created(self, provider_id: str) -> "Instance":
        """The provider has created it."""
        if self.state is not InstanceState.REQUESTED:
            return replace(self, provider_id=self.provider_id or provider_id)
        return replace(self, state=InstanceState.PROVISIONING, provider_id=provider_id)

    def never_created(self, reason: str) -> "Instance":
        """The provider did not create it, so nothing was billed; unchanged if it was created after all."""
        return self.terminated(self.created_at, reason) if self.state is InstanceState.REQUESTED else self

    def located(self, address: str, usd_per_hour: float) -> "Instance":
        """The provider has published its address and its actual price (0: unknown)."""
        return replace(self, address=address, usd_per_hour=usd_per_hour or self.usd_per_hour)

    def became_ready(self, slots: int, now: float) -> "Instance":
        """Its encoder has answered for the first time."""
        if self.state is not InstanceState.PROVISIONING:
            return self
        return replace(self, state=InstanceState.READY, slots=slots, ready_at=now)

    def run_started(self, task: str, now: float) -> "Instance":
        """A task has begun on it; unchanged if it takes no tasks (check with `runs`)."""
        if not self.takes_tasks or self.runs(task):
            return self
        return replace(self, running=(*self.running, InstanceRun(task, now)))

    def run_ended(self, task: str, now: float) -> "Instance":
        """A task has ended on it, whether it succeeded or failed."""
        ended = [run for run in self.running if run.task == task]
        if not ended:
            return self
        seconds = sum(max(0.0, (self.ended_at or now) - run.started_at) for run in ended)
        left = self.run_dropped(task)
        return replace(left, used_at=now, busy_seconds=self.busy_seconds + seconds, tasks=self.tasks + len(ended))

    def run_dropped(self, task: str) -> "Instance":
        """A task did not begin on it after all; it does not count."""
        return replace(self, running=tuple(run for run in self.running if run.task != task))

    def drain(self, reason: str) -> "Instance":
        """Take no more tasks, and terminate after the last one."""
        if self.state.is_active and not self.running:
            return self.terminate(reason)
        if self.state in (InstanceState.TERMINATING, InstanceState.TERMINATED) or self.draining:
            return self
        return replace(self, draining=True, reason=reason)

    def terminate(self, reason: str) -> "Instance":
        """Terminate now, whatever runs on it; while REQUESTED, once it is known to exist."""
        if self.state is InstanceState.REQUESTED:
            return self.drain(reason)
        return replace(self, state=InstanceState.TERMINATING, reason=reason) if self.state.is_active else self

    def terminated(self, now: float, reason: str = "") -> "Instance":
        """It is gone, or never came to be: all its runs have ended, and its access is forgotten."""
        if self.state is InstanceState.TERMINATED:
            return self
        ended = self
        for run in self.running:
            ended = ended.run_ended(run.task, now)
        reason = self.reason or reason
        return replace(ended, state=InstanceState.TERMINATED, ended_at=now, access=None, reason=reason)


def new_label(fleet: str) -> str:
    """Return a unique label: "api-gpu-5f0c…"."""
    return f"{fleet}-{secrets.token_hex(8)}"


def is_label_of(fleet: str, label: str) -> bool:
    """Return True if the label is one of this fleet, not one of a fleet whose name begins with the same letters."""
    return re.fullmatch(rf"{re.escape(fleet)}-[0-9a-f]{{16}}", label) is not None
