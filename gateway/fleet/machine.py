"""A rented machine and what can happen to it. Pure: no I/O, no clock; times are Unix seconds.

A machine is written down (PLANNED) before it is asked for, so that whatever is rented is known to whoever comes after
a crash.
"""

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from gateway.engine.fields import known

HOUR_SECONDS = 3600.0


class State(StrEnum):
    """Where a machine stands; the names are those of Machine.State in fleet.proto."""

    PLANNED = "PLANNED"
    STARTING = "STARTING"
    READY = "READY"
    ENDING = "ENDING"
    ENDED = "ENDED"

    @property
    def is_paid(self) -> bool:
        """Whether money may flow: a machine that was only planned may have been made all the same."""
        return self is not State.ENDED


@dataclass(frozen=True, slots=True)
class Access:
    """How gateways reach a machine, and it alone: PEM of a CA that exists for this machine only, of a client's
    certificate and its key, both signed by that CA, and the token that the encoder asks for."""

    ca: str
    certificate: str
    key: str
    session_token: str


@dataclass(frozen=True, slots=True)
class Run:
    """A task that runs on a machine: its key, and since when."""

    task: str
    started_at: float


@dataclass(frozen=True, slots=True)
class Machine:
    """A rented encoder. `id` is the label that it carries at its provider, `provider_id` the provider's own name for
    it, `host` the physical host where the provider tells (to be avoided when it fails), `address` is host:port. One
    that is `draining` ends once nothing runs on it. `busy_seconds` and `tasks` are those of runs that have ended."""

    id: str
    provider: str
    usd_per_hour: float
    created_at: float
    state: State = State.PLANNED
    slots: int = 1
    # Seconds from the order to the first task, as its offer promised.
    setup_seconds: float = 0.0
    description: str = ""
    offer: str = ""
    provider_id: str = ""
    host: str = ""
    address: str = ""
    access: Access | None = None
    ready_at: float | None = None
    ended_at: float | None = None
    # When its last task ended; what the idle time is counted from.
    used_at: float | None = None
    running: tuple[Run, ...] = ()
    draining: bool = False
    busy_seconds: float = 0.0
    tasks: int = 0
    reason: str = ""

    @property
    def takes_tasks(self) -> bool:
        """Whether it may be given a task once it answers."""
        return self.state in (State.STARTING, State.READY) and not self.draining

    def seconds(self, now: float) -> float:
        """Seconds that are paid for, so far or in all."""
        return max(0.0, (self.ended_at or now) - self.created_at)

    def usd(self, now: float) -> float:
        """Dollars, so far or in all."""
        return self.usd_per_hour * self.seconds(now) / HOUR_SECONDS

    def usd_between(self, start: float, end: float, now: float) -> float:
        """Dollars for the part of its life that lies between two times."""
        seconds = min(self.ended_at or now, end) - max(self.created_at, start)
        return self.usd_per_hour * max(0.0, seconds) / HOUR_SECONDS

    def worked_seconds(self, now: float) -> float:
        """Seconds that its slots worked, together, so far."""
        return self.busy_seconds + sum(max(0.0, now - run.started_at) for run in self.running)

    def idle_since(self) -> float | None:
        """Since when it has had nothing to do; None while it has, or does not answer yet."""
        if self.state is not State.READY or self.running:
            return None
        return max(self.used_at or 0.0, self.ready_at or self.created_at)


def equipped(machine: Machine, access: Access | None) -> Machine:
    """With the way in that was made for it."""
    return replace(machine, access=access)


def made(machine: Machine, provider_id: str) -> Machine:
    """The provider has made it."""
    if machine.state is not State.PLANNED:
        return replace(machine, provider_id=machine.provider_id or provider_id)
    return replace(machine, state=State.STARTING, provider_id=provider_id)


def located(machine: Machine, address: str, usd_per_hour: float) -> Machine:
    """The provider tells where it is reached, and what it really costs (0: it does not tell)."""
    return replace(machine, address=address, usd_per_hour=usd_per_hour or machine.usd_per_hour)


def answered(machine: Machine, slots: int, now: float) -> Machine:
    """Its encoder answers."""
    if machine.state is not State.STARTING:
        return machine
    return replace(machine, state=State.READY, slots=slots, ready_at=now)


def run_started(machine: Machine, task: str, now: float) -> Machine:
    """A task begins on it; unchanged when it takes none any more (see `runs`)."""
    if not machine.takes_tasks or runs(machine, task):
        return machine
    return replace(machine, running=(*machine.running, Run(task, now)))


def run_ended(machine: Machine, task: str, now: float) -> Machine:
    """A task has ended on it, well or not."""
    ended = [run for run in machine.running if run.task == task]
    if not ended:
        return machine
    seconds = sum(max(0.0, (machine.ended_at or now) - run.started_at) for run in ended)
    return replace(
        machine,
        running=tuple(run for run in machine.running if run.task != task),
        used_at=now,
        busy_seconds=machine.busy_seconds + seconds,
        tasks=machine.tasks + len(ended),
    )


def run_dropped(machine: Machine, task: str) -> Machine:
    """A task did not begin on it after all."""
    return replace(machine, running=tuple(run for run in machine.running if run.task != task))


def runs(machine: Machine, task: str) -> bool:
    """Whether the task is one of those that run on it."""
    return any(run.task == task for run in machine.running)


def drained(machine: Machine, reason: str) -> Machine:
    """It takes no more tasks, and ends when it has none left."""
    if machine.state in (State.STARTING, State.READY) and not machine.running:
        return ending(machine, reason)
    if machine.state is State.ENDED or machine.state is State.ENDING or machine.draining:
        return machine
    return replace(machine, draining=True, reason=reason)


def ending(machine: Machine, reason: str) -> Machine:
    """It is to be given back now, whatever runs on it; one that was only planned once it is known to be made."""
    if machine.state is State.PLANNED:
        return drained(machine, reason)
    if machine.state in (State.ENDING, State.ENDED):
        return machine
    return replace(machine, state=State.ENDING, reason=reason)


def never_made(machine: Machine, reason: str) -> Machine:
    """Nothing came of the plan, and nothing was paid; unchanged when it was made after all."""
    return ended(machine, machine.created_at, reason) if machine.state is State.PLANNED else machine


def ended(machine: Machine, now: float, reason: str = "") -> Machine:
    """It is given back, or never came to be; what still ran has ended, and nobody needs a way in any more."""
    if machine.state is State.ENDED:
        return machine
    for run in machine.running:
        machine = run_ended(machine, run.task, now)
    return replace(machine, state=State.ENDED, ended_at=now, access=None, reason=machine.reason or reason)


def to_json(machine: Machine) -> bytes:
    """The record of a machine as it is stored."""
    return json.dumps(asdict(machine), separators=(",", ":")).encode()


def from_json(data: bytes) -> Machine:
    """The machine of a stored record. Fields of a later version are passed over: the machine must be given back all
    the same."""
    record = known(Machine, json.loads(data))
    access = Access(**record["access"]) if record["access"] else None
    running = tuple(Run(**run) for run in record["running"])
    return Machine(**record | {"access": access, "running": running, "state": State(record["state"])})
