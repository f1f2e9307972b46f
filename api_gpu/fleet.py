"""The fleet as the client sees it: rented machines, limits, money."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from api_gpu.assets import to_datetime
from apigpu.v1 import fleet_pb2


@dataclass(frozen=True)
class Machine:
    """A rented encoder; see Machine in fleet.proto."""

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
        """The machine that the gateway describes."""
        return cls(
            id=message.id,
            provider=message.provider,
            state=fleet_pb2.Machine.State.Name(message.state),
            description=message.description,
            usd_per_hour=message.usd_per_hour,
            usd=message.usd,
            busy=message.busy,
            slots=message.slots,
            created=to_datetime(message.create_time) if message.HasField("create_time") else None,
            ended=to_datetime(message.end_time) if message.HasField("end_time") else None,
            reason=message.reason,
        )


@dataclass(frozen=True)
class Fleet:
    """The fleet as it is: machines, the newest first; providers and what is wrong with each ("": nothing)."""

    machines: tuple[Machine, ...]
    providers: dict[str, str]
    waiting: int
    running: int
    usd_per_hour: float
    usd_today: float

    @classmethod
    def from_message(cls, message: fleet_pb2.GetFleetResponse) -> Fleet:
        """The fleet that the gateway describes."""
        return cls(
            machines=tuple(Machine.from_message(machine) for machine in message.machines),
            providers={provider.name: provider.fault for provider in message.providers},
            waiting=message.waiting,
            running=message.running,
            usd_per_hour=message.usd_per_hour,
            usd_today=message.usd_today,
        )


@dataclass(frozen=True)
class DayCosts:
    """What was spent on a day (UTC) at a provider; see DayCosts in fleet.proto."""

    date: str
    provider: str
    usd: float
    machines: int
    tasks: int
    busy_seconds: float
    paid_seconds: float

    @classmethod
    def from_message(cls, message: fleet_pb2.DayCosts) -> DayCosts:
        """The day that the gateway describes."""
        return cls(
            date=message.date,
            provider=message.provider,
            usd=message.usd,
            machines=message.machines,
            tasks=message.tasks,
            busy_seconds=message.busy_seconds,
            paid_seconds=message.paid_seconds,
        )
