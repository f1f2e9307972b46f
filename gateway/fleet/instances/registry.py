"""The registry of instances: one record each in the store, and all of them in memory on every gateway."""

from collections.abc import Sequence

from gateway.fleet import billing
from gateway.fleet.billing import Cost, UsageInterval
from gateway.fleet.instances.instance import Instance, InstanceState
from gateway.jetstream.keyvalue import KeyValue
from gateway.jetstream.records import Records
from gateway.workers.base import EncoderBusy
from servicekit.errors import NotFound
from servicekit.tasks import log_and_continue


class InstanceRegistry(Records[Instance]):
    """The instances by id, the runs of tasks on them, and what they cost. Errors are those of Records."""

    def __init__(self, bucket: KeyValue) -> None:
        super().__init__(bucket, Instance, "machine", prefix="machine.")

    def all(self) -> list[Instance]:
        """Return every instance, the newest first."""
        return sorted(self.cached.values(), key=lambda instance: instance.created_at, reverse=True)

    def living(self) -> list[Instance]:
        """Return the instances that may be billed."""
        return [instance for instance in self.all() if instance.state.is_billed]

    def is_active(self, instance_id: str) -> bool:
        """Return True if, by this gateway's latest knowledge, the instance exists and is not terminating: it may
        terminate under a task."""
        instance = self.cached.get(instance_id)
        return instance is not None and instance.state.is_active

    def cost(self, intervals: Sequence[UsageInterval], now: float, idle_seconds: float = 0.0) -> Cost | None:
        """Return the total cost of the intervals as `billing.cost_of` computes it."""
        return billing.cost_of(intervals, self.cached.get, now, idle_seconds)

    async def begin_run(self, instance_id: str, task: str, now: float) -> None:
        """Start a run, which keeps the instance from terminating until `end_run`. Raise EncoderBusy if it takes no
        tasks any more."""
        try:
            instance = await self.update(instance_id, lambda known: known.run_started(task, now))
        except NotFound as error:
            raise EncoderBusy(f"Instance {instance_id} is gone.") from error
        if not instance.runs(task):
            raise EncoderBusy(f"Instance {instance_id} is terminating.")

    async def end_run(self, instance_id: str, task: str, now: float) -> None:
        """End a run. Errors of the store are logged only: the controller ends runs that no gateway has."""
        with log_and_continue("cannot record the end of a run", instance=instance_id):
            await self.update(instance_id, lambda known: known.run_ended(task, now))

    async def drop_run(self, instance_id: str, task: str) -> None:
        """Undo `begin_run` of a run that the encoder did not accept. Errors of the store are logged only."""
        with log_and_continue("cannot undo the start of a run", instance=instance_id):
            await self.update(instance_id, lambda known: known.run_dropped(task))

    async def prune(self, before: float, requests_before: float) -> None:
        """Delete instances that terminated before a time, and requests of which nothing came before another: an account
        without credit makes one every minute."""
        for instance in self.all():
            limit = before if instance.provider_id else requests_before
            if instance.state is InstanceState.TERMINATED and (instance.ended_at or 0.0) < limit:
                await self.delete(instance.id)
