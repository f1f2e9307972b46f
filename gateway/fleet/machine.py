"""A rented machine and what can happen to it. Pure: no I/O, no clock; times are Unix seconds.

A machine is written down (PLANNED) before it is asked for, so that whatever is rented is known to whoever comes after
a crash.
"""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

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
class Machine:
    """A rented encoder. `id` is the label that it carries at its provider, `provider_id` the provider's own name for
    it, `host` the physical host where the provider tells (to be avoided when it fails), `address` is host:port."""

    id: str
    provider: str
    usd_per_hour: float
    created_at: float
    state: State = State.PLANNED
    slots: int = 1
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
    busy_seconds: float = 0.0
    tasks: int = 0
    reason: str = ""

    def seconds(self, now: float) -> float:
        """Seconds that are paid for, so far or in all."""
        return max(0.0, (self.ended_at or now) - self.created_at)

    def usd(self, now: float) -> float:
        """Dollars, so far or in all."""
        return self.usd_per_hour * self.seconds(now) / HOUR_SECONDS


def to_json(machine: Machine) -> bytes:
    """The record of a machine as it is stored."""
    return json.dumps(asdict(machine), separators=(",", ":")).encode()


def from_json(data: bytes) -> Machine:
    """The machine of a stored record."""
    record: dict[str, Any] = json.loads(data)
    access = Access(**record["access"]) if record["access"] else None
    return Machine(**record | {"access": access, "state": State(record["state"])})
