"""FleetService."""

import time

from apigpu.v1 import fleet_pb2, fleet_pb2_grpc
from gateway.fleet import billing
from gateway.fleet.autoscaler import Policy
from gateway.fleet.fleet import Fleet
from gateway.fleet.instances.instance import Instance
from gateway.services.presenters import timestamp
from servicekit.errors import InvalidArgument
from servicekit.interceptors import Context

SHOWN_MACHINES = 200
DEFAULT_DAYS, MAX_DAYS = 7, 31


class FleetService(fleet_pb2_grpc.FleetServiceServicer):
    """Serves apigpu.v1.FleetService."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def GetFleet(self, request: fleet_pb2.GetFleetRequest, context: Context) -> fleet_pb2.GetFleetResponse:
        """See fleet.proto."""
        now, fleet = time.time(), self._fleet
        return fleet_pb2.GetFleetResponse(
            machines=[_machine(machine, now) for machine in fleet.registry.all()[:SHOWN_MACHINES]],
            policy=_policy(fleet.policy),
            providers=[
                fleet_pb2.Provider(name=name, ready=not fault, fault=fault) for name, fault in fleet.faults().items()
            ],
            waiting=fleet.queue.tasks_waiting,
            running=fleet.queue.tasks_running,
            usd_per_hour=sum(machine.usd_per_hour for machine in fleet.registry.living()),
            usd_today=billing.spent_today(fleet.registry.all(), now),
        )

    async def GetCosts(self, request: fleet_pb2.GetCostsRequest, context: Context) -> fleet_pb2.GetCostsResponse:
        """See fleet.proto."""
        if not 0 <= request.days <= MAX_DAYS:
            raise InvalidArgument(
                f"days is {request.days} and must be from 1 to {MAX_DAYS}.", fields={"days": f"1 to {MAX_DAYS}"}
            )
        days = billing.by_day(self._fleet.registry.all(), request.days or DEFAULT_DAYS, time.time())
        return fleet_pb2.GetCostsResponse(days=[_day(day) for day in days], usd=sum(day.usd for day in days))


def _machine(machine: Instance, now: float) -> fleet_pb2.Machine:
    return fleet_pb2.Machine(
        id=machine.id,
        provider=machine.provider,
        provider_id=machine.provider_id,
        state=fleet_pb2.Machine.State.Value(machine.state.value),
        description=machine.description,
        usd_per_hour=machine.usd_per_hour,
        usd=machine.usd(now),
        slots=machine.slots,
        busy=len(machine.running),
        busy_seconds=machine.worked_seconds(now),
        create_time=timestamp(machine.created_at),
        ready_time=timestamp(machine.ready_at),
        end_time=timestamp(machine.ended_at),
        reason=machine.reason,
    )


def _policy(policy: Policy) -> fleet_pb2.FleetPolicy:
    return fleet_pb2.FleetPolicy(
        min_machines=policy.minimum,
        max_machines=policy.maximum,
        idle_seconds=policy.idle_seconds,
        target_wait_seconds=policy.target_wait_seconds,
        max_usd_per_hour=policy.max_usd_per_hour,
        max_usd_per_day=policy.max_usd_per_day,
    )


def _day(day: billing.Day) -> fleet_pb2.DayCosts:
    return fleet_pb2.DayCosts(
        date=day.date,
        provider=day.provider,
        usd=day.usd,
        machines=day.machines,
        tasks=day.tasks,
        busy_seconds=day.busy_seconds,
        paid_seconds=day.paid_seconds,
    )
