"""The fleet as the client sees it: rented machines, limits, money."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from api_gpu.requests import from_message, to_datetime
from apigpu.v1 import fleet_pb2


@dataclass(frozen=True)
class Machine:
    """A rented encoder, as in Machine of fleet.proto. Times are UTC."""

    id: str
    provider: str
    state: str
    description: str
    usd_per_hour: float
    usd: float
    busy: int
    slots: int
    created: datetime | None
    ended: datetime | None
    reason: str

    @classmethod
    def from_message(cls, message: fleet_pb2.Machine) -> Machine:
        """Return the machine that the gateway describes."""
        times = {"created": to_datetime(message.create_time), "ended": to_datetime(message.end_time)}
        return from_message(cls, message, state=fleet_pb2.Machine.State.Name(message.state), **times)


@dataclass(frozen=True)
class PooledEncoder:
    """An encoder that a gateway uses, as in PooledEncoder of fleet.proto."""

    name: str
    ready: bool
    slots: int
    busy: int
    codecs: tuple[str, ...]
    rented: bool
    known_as: str


@dataclass(frozen=True)
class Fleet:
    """The fleet as it is: encoders, also those that are not rented; rented machines, the newest first; providers and
    what is wrong with each ("": nothing); `notices` say why tasks may wait at a provider that answers."""

    machines: tuple[Machine, ...]
    providers: dict[str, str]
    waiting: int
    running: int
    usd_per_hour: float
    usd_today: float
    notices: dict[str, str] = field(default_factory=dict)
    encoders: tuple[PooledEncoder, ...] = ()

    @classmethod
    def from_message(cls, message: fleet_pb2.GetFleetResponse) -> Fleet:
        """Return the fleet that the gateway describes."""
        machines = tuple(Machine.from_message(machine) for machine in message.machines)
        providers = {provider.name: provider.fault for provider in message.providers}
        notices = {provider.name: provider.notice for provider in message.providers if provider.notice}
        encoders = tuple(from_message(PooledEncoder, one, codecs=tuple(one.codecs)) for one in message.encoders)
        return from_message(cls, message, machines=machines, providers=providers, notices=notices, encoders=encoders)


@dataclass(frozen=True)
class DayCosts:
    """Costs of a day (UTC) at a provider, as in DayCosts of fleet.proto."""

    date: str
    provider: str
    usd: float
    machines: int
    tasks: int
    busy_seconds: float
    paid_seconds: float
