"""FleetService: rented instances, their costs and the state of the providers; and what an operator looks at beside."""

import time
from dataclasses import dataclass

from apigpu.v1 import fleet_pb2 as pb2
from apigpu.v1 import fleet_pb2_grpc
from gateway.assets.links import LinkSigner
from gateway.fleet import billing
from gateway.fleet.autoscaler import Policy
from gateway.fleet.billing import DailyCost
from gateway.fleet.fleet import Fleet
from gateway.fleet.instances.instance import Instance
from gateway.jobs.recent import JobFigures, RecentJobs
from gateway.services.presenters import known_encoder
from gateway.services.times import timestamp
from gateway.workers.pool import Pool, PoolMember
from servicekit.disk import DiskFloor
from servicekit.errors import InvalidArgument
from servicekit.interceptors import Context

MAX_SHOWN_INSTANCES = 200
DEFAULT_DAYS, MAX_DAYS = 7, 31


@dataclass(eq=False)
class FleetService(fleet_pb2_grpc.FleetServiceServicer):
    """Serves apigpu.v1.FleetService."""

    fleet: Fleet
    pool: Pool
    recent: RecentJobs
    disk: DiskFloor
    links: LinkSigner

    async def GetFleet(self, request: pb2.GetFleetRequest, context: Context) -> pb2.GetFleetResponse:
        """Return the newest instances, the policy, the providers, the queue, encoders, recent jobs and the disk."""
        now, fleet = time.time(), self.fleet
        faults, notices = fleet.faults().items(), await fleet.notices()
        return pb2.GetFleetResponse(
            machines=[_instance(instance, now) for instance in fleet.registry.all()[:MAX_SHOWN_INSTANCES]],
            policy=_policy(fleet.policy),
            providers=[
                pb2.Provider(name=name, ready=not fault, fault=fault, notice=notices.get(name, ""))
                for name, fault in faults
            ],
            waiting=fleet.queue.tasks_waiting,
            running=fleet.queue.tasks_running,
            usd_per_hour=sum(instance.usd_per_hour for instance in fleet.registry.living()),
            usd_today=billing.spent_today(fleet.registry.all(), now),
            encoders=[self._encoder(member) for member in sorted(self.pool.members, key=lambda one: one.encoder.name)],
            recent=_recent(self.recent.figures(now)),
            disk=pb2.StoreDisk(
                size_bytes=self.disk.size_bytes, free_bytes=self.disk.free_bytes, floor_bytes=self.disk.floor_bytes
            ),
        )

    async def GetCosts(self, request: pb2.GetCostsRequest, context: Context) -> pb2.GetCostsResponse:
        """Return the costs by day and provider. Raise InvalidArgument for a number of days out of range."""
        if not 0 <= request.days <= MAX_DAYS:
            raise InvalidArgument.field("days", f"is {request.days}, must be from 1 to {MAX_DAYS}")
        days = billing.by_day(self.fleet.registry.all(), request.days or DEFAULT_DAYS, time.time())
        return pb2.GetCostsResponse(days=[_day(day) for day in days], usd=sum(day.usd for day in days))

    def _encoder(self, member: PoolMember) -> pb2.PooledEncoder:
        return pb2.PooledEncoder(
            name=member.encoder.name,
            ready=member.ready,
            slots=member.slots,
            # Of what this gateway has just begun the encoder has not told yet.
            busy=max(member.busy, member.used),
            codecs=sorted(member.codecs),
            rented=member.is_rented,
            known_as=known_encoder(member.encoder.name, self.links),
        )


def _instance(instance: Instance, now: float) -> pb2.Machine:
    return pb2.Machine(
        id=instance.id,
        provider=instance.provider,
        provider_id=instance.provider_id,
        state=pb2.Machine.State.Value(instance.state.value),
        description=instance.description,
        usd_per_hour=instance.usd_per_hour,
        usd=instance.usd(now),
        slots=instance.slots,
        busy=len(instance.running),
        busy_seconds=instance.worked_seconds(now),
        create_time=timestamp(instance.created_at),
        ready_time=timestamp(instance.ready_at),
        end_time=timestamp(instance.ended_at),
        reason=instance.reason,
    )


def _recent(figures: JobFigures) -> pb2.RecentJobs:
    return pb2.RecentJobs(
        ended=figures.ended,
        failed=figures.failed,
        cancelled=figures.cancelled,
        started=len(figures.waits),
        wait_p50_seconds=figures.wait_seconds(0.5),
        wait_p95_seconds=figures.wait_seconds(0.95),
    )


def _policy(policy: Policy) -> pb2.FleetPolicy:
    return pb2.FleetPolicy(
        min_machines=policy.minimum,
        max_machines=policy.maximum,
        idle_seconds=policy.idle_seconds,
        target_wait_seconds=policy.target_wait_seconds,
        max_usd_per_hour=policy.max_usd_per_hour,
        max_usd_per_day=policy.max_usd_per_day,
    )


def _day(day: DailyCost) -> pb2.DayCosts:
    return pb2.DayCosts(
        date=day.date,
        provider=day.provider,
        usd=day.usd,
        machines=day.instances,
        tasks=day.tasks,
        busy_seconds=day.busy_seconds,
        paid_seconds=day.billed_seconds,
    )
