"""Usage metering: the run time of tasks on rented instances."""

from dataclasses import dataclass

from gateway.fleet import billing
from gateway.fleet.billing import Cost, UsageInterval
from gateway.fleet.instances.registry import InstanceRegistry
from gateway.workers.base import EncoderBusy
from servicekit.errors import NotFound
from servicekit.tasks import log_and_continue


@dataclass(frozen=True, slots=True)
class UsageMeter:
    """Records the start and the end of runs in the registry, and computes the cost of usage intervals."""

    registry: InstanceRegistry

    async def begin(self, instance_id: str, task: str, now: float) -> None:
        """Start a run, which keeps the instance from terminating until `end`. Raise EncoderBusy if it takes no tasks
        any more."""
        try:
            instance = await self.registry.change(instance_id, lambda known: known.run_started(task, now))
        except NotFound as error:
            raise EncoderBusy(f"Instance {instance_id} is gone.") from error
        if not instance.runs(task):
            raise EncoderBusy(f"Instance {instance_id} is terminating.")

    async def end(self, instance_id: str, task: str, now: float) -> None:
        """End a run. Errors of the store are logged only: the controller ends runs that no gateway has."""
        with log_and_continue("cannot record the end of a run", instance=instance_id):
            await self.registry.change(instance_id, lambda known: known.run_ended(task, now))

    async def drop(self, instance_id: str, task: str) -> None:
        """Undo `begin` of a run that the encoder did not accept. Errors of the store are logged only."""
        with log_and_continue("cannot undo the start of a run", instance=instance_id):
            await self.registry.change(instance_id, lambda known: known.run_dropped(task))

    def is_active(self, instance_id: str) -> bool:
        """Return True if, by this gateway's latest knowledge, the instance exists and is not terminating: it may
        terminate under a task."""
        instance = self.registry.find(instance_id)
        return instance is not None and instance.state.is_active

    def cost(self, intervals: tuple[UsageInterval, ...], now: float, idle_seconds: float = 0.0) -> Cost | None:
        """Return the total cost of the intervals as `billing.cost_of` computes it."""
        return billing.cost_of(intervals, self.registry.find, now, idle_seconds)
