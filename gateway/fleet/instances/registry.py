"""The registry of instances: one record each in the store, and all of them in memory on every gateway."""

from collections.abc import Callable

from gateway.fleet.instances.instance import Instance, InstanceState
from gateway.jetstream.keyvalue import KeyValue
from gateway.jetstream.records import Records

Listener = Callable[[Instance], None]


class InstanceRegistry:
    """Errors: Unavailable (the store does not answer), NotFound (no such instance), UnreadableRecord."""

    def __init__(self, bucket: KeyValue) -> None:
        self._records = Records(bucket, Instance, "machine", prefix="machine.")

    async def start(self) -> None:
        """Read what there is, and follow it from then on."""
        await self._records.start()

    async def stop(self) -> None:
        """End the watch."""
        await self._records.stop()

    def on_change(self, listener: Listener) -> None:
        """Call `listener(instance)` for every known instance and for every change, by whichever gateway."""

        def changed(_: str, instance: Instance | None) -> None:
            if instance is not None:
                listener(instance)

        self._records.on_change(changed)
        for instance in list(self._records.cached.values()):
            listener(instance)

    def all(self) -> list[Instance]:
        """Return every instance, the newest first."""
        return sorted(self._records.cached.values(), key=lambda instance: instance.created_at, reverse=True)

    def living(self) -> list[Instance]:
        """Return the instances that may be billed."""
        return [instance for instance in self.all() if instance.state.is_billed]

    def find(self, instance_id: str) -> Instance | None:
        """Return the instance as it was last seen."""
        return self._records.cached.get(instance_id)

    async def read(self, instance_id: str) -> Instance | None:
        """Return the instance as the store has it."""
        return await self._records.get(instance_id)

    async def add(self, instance: Instance) -> None:
        """Write a new instance; on return it is on disk."""
        await self._records.create(instance.id, instance)

    async def change(self, instance_id: str, step: Callable[[Instance], Instance]) -> Instance:
        """Apply a pure step to the instance as it is now, again if somebody else was faster; return the new one."""
        return await self._records.update(instance_id, step)

    async def prune(self, before: float, requests_before: float) -> None:
        """Delete instances that terminated before a time, and requests of which nothing came before another: an account
        without credit makes one every minute."""
        for instance in self.all():
            limit = before if instance.provider_id else requests_before
            if instance.state is InstanceState.TERMINATED and (instance.ended_at or 0.0) < limit:
                await self._records.delete(instance.id)
