"""A rented machine and what can happen to it. Pure: no I/O, no clock; times are Unix seconds.

A machine is written down (PLANNED) before it is asked for, so that whatever is rented is known to whoever comes after
a crash.
"""

import re
import secrets
from dataclasses import dataclass, replace
from enum import StrEnum

HOUR_SECONDS = 3600.0


class InstanceState(StrEnum):
    """Where a machine stands; the names are those of Machine.State in fleet.proto."""

    PLANNED = "PLANNED"
    STARTING = "STARTING"
    READY = "READY"
    ENDING = "ENDING"
    ENDED = "ENDED"

    @property
    def is_paid(self) -> bool:
        """Whether money may flow: a machine that was only planned may have been made all the same."""
        return self is not InstanceState.ENDED


@dataclass(frozen=True, slots=True)
class InstanceAccess:
    """How gateways reach a machine, and it alone: PEM of a CA that exists for this machine only, of a client's
    certificate and its key, both signed by that CA, and the token that the encoder asks for."""

    ca: str
    certificate: str
    key: str
    session_token: str


@dataclass(frozen=True, slots=True)
class InstanceRun:
    """A task that runs on a machine: its key, and since when."""

    task: str
    started_at: float


@dataclass(frozen=True, slots=True)
class Instance:
    """A rented encoder. `id` is the label that it carries at its provider, `provider_id` the provider's own name for
    it, `host` the physical host where the provider tells (to be avoided when it fails), `address` is host:port. One
    that is `draining` ends once nothing runs on it. `busy_seconds` and `tasks` are those of runs that have ended."""

    id: str
    provider: str
    usd_per_hour: float
    created_at: float
    state: InstanceState = InstanceState.PLANNED
    slots: int = 1
    # Seconds from the order to the first task, as its offer promised.
    setup_seconds: float = 0.0
    description: str = ""
    offer: str = ""
    provider_id: str = ""
    host: str = ""
    address: str = ""
    access: InstanceAccess | None = None
    ready_at: float | None = None
    ended_at: float | None = None
    # When its last task ended; what the idle time is counted from.
    used_at: float | None = None
    running: tuple[InstanceRun, ...] = ()
    draining: bool = False
    busy_seconds: float = 0.0
    tasks: int = 0
    reason: str = ""

    @property
    def takes_tasks(self) -> bool:
        """Whether it may be given a task once it answers."""
        return self.state in (InstanceState.STARTING, InstanceState.READY) and not self.draining

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
        if self.state is not InstanceState.READY or self.running:
            return None
        return max(self.used_at or 0.0, self.ready_at or self.created_at)


def with_access(machine: Instance, access: InstanceAccess | None) -> Instance:
    """With the way in that was made for it."""
    return replace(machine, access=access)


def created(machine: Instance, provider_id: str) -> Instance:
    """The provider has made it."""
    if machine.state is not InstanceState.PLANNED:
        return replace(machine, provider_id=machine.provider_id or provider_id)
    return replace(machine, state=InstanceState.STARTING, provider_id=provider_id)


def located(machine: Instance, address: str, usd_per_hour: float) -> Instance:
    """The provider tells where it is reached, and what it really costs (0: it does not tell)."""
    return replace(machine, address=address, usd_per_hour=usd_per_hour or machine.usd_per_hour)


def became_ready(machine: Instance, slots: int, now: float) -> Instance:
    """Its encoder answers."""
    if machine.state is not InstanceState.STARTING:
        return machine
    return replace(machine, state=InstanceState.READY, slots=slots, ready_at=now)


def run_started(machine: Instance, task: str, now: float) -> Instance:
    """A task begins on it; unchanged when it takes none any more (see `runs`)."""
    if not machine.takes_tasks or runs(machine, task):
        return machine
    return replace(machine, running=(*machine.running, InstanceRun(task, now)))


def run_ended(machine: Instance, task: str, now: float) -> Instance:
    """A task has ended on it, well or not."""
    terminated = [run for run in machine.running if run.task == task]
    if not terminated:
        return machine
    seconds = sum(max(0.0, (machine.ended_at or now) - run.started_at) for run in terminated)
    return replace(
        machine,
        running=tuple(run for run in machine.running if run.task != task),
        used_at=now,
        busy_seconds=machine.busy_seconds + seconds,
        tasks=machine.tasks + len(terminated),
    )


def run_dropped(machine: Instance, task: str) -> Instance:
    """A task did not begin on it after all."""
    return replace(machine, running=tuple(run for run in machine.running if run.task != task))


def runs(machine: Instance, task: str) -> bool:
    """Whether the task is one of those that run on it."""
    return any(run.task == task for run in machine.running)


def draining(machine: Instance, reason: str) -> Instance:
    """It takes no more tasks, and ends when it has none left."""
    if machine.state in (InstanceState.STARTING, InstanceState.READY) and not machine.running:
        return terminating(machine, reason)
    if machine.state is InstanceState.ENDED or machine.state is InstanceState.ENDING or machine.draining:
        return machine
    return replace(machine, draining=True, reason=reason)


def terminating(machine: Instance, reason: str) -> Instance:
    """It is to be given back now, whatever runs on it; one that was only planned once it is known to be made."""
    if machine.state is InstanceState.PLANNED:
        return draining(machine, reason)
    if machine.state in (InstanceState.ENDING, InstanceState.ENDED):
        return machine
    return replace(machine, state=InstanceState.ENDING, reason=reason)


def never_created(machine: Instance, reason: str) -> Instance:
    """Nothing came of the plan, and nothing was paid; unchanged when it was made after all."""
    return terminated(machine, machine.created_at, reason) if machine.state is InstanceState.PLANNED else machine


def terminated(machine: Instance, now: float, reason: str = "") -> Instance:
    """It is given back, or never came to be; what still ran has ended, and nobody needs a way in any more."""
    if machine.state is InstanceState.ENDED:
        return machine
    for run in machine.running:
        machine = run_ended(machine, run.task, now)
    return replace(machine, state=InstanceState.ENDED, ended_at=now, access=None, reason=machine.reason or reason)


def new_label(fleet: str) -> str:
    """A label that nothing else has: "api-gpu-5f0c…"."""
    return f"{fleet}-{secrets.token_hex(8)}"


def is_of(fleet: str, label: str) -> bool:
    """Whether this fleet gave the label. Fleets of other names are left alone, also when one name begins as another."""
    return re.fullmatch(rf"{re.escape(fleet)}-[0-9a-f]{{16}}", label) is not None
