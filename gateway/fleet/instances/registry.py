"""The register of machines: one record each in the store, changed by compare-and-set, and all of them in memory on
every gateway by a watch."""

import contextlib
from collections.abc import Callable

import structlog

from gateway.fleet.instances import instance as machines
from gateway.fleet.instances.instance import Instance, InstanceState
from gateway.jetstream.keyvalue import KeyValue, Watch
from servicekit.errors import Aborted, NotFound

log = structlog.get_logger("fleet")

PREFIX = "machine."
CHANGE_TRIES = 100

Step = Callable[[Instance], Instance]
Noticed = Callable[[Instance], None]


class InstanceRegistry:
    """Errors: Unavailable (the store does not answer), NotFound (no such machine)."""

    def __init__(self, records: KeyValue) -> None:
        self._records = records
        self._known: dict[str, tuple[Instance, int]] = {}
        self._noticed: list[Noticed] = []
        self._watching = Watch(records, self._changed)

    async def start(self) -> None:
        """Read what there is, and follow it from then on."""
        await self._watching.start()

    async def stop(self) -> None:
        """End the watch."""
        await self._watching.stop()

    def on_change(self, noticed: Noticed) -> None:
        """Call `noticed(machine)` for every machine known by now and for every change, by whichever gateway."""
        self._noticed.append(noticed)
        for machine, _ in list(self._known.values()):
            noticed(machine)

    def all(self) -> list[Instance]:
        """Every machine, the newest first."""
        return sorted((machine for machine, _ in self._known.values()), key=lambda m: m.created_at, reverse=True)

    def living(self) -> list[Instance]:
        """Machines that money may flow for."""
        return [machine for machine in self.all() if machine.state.is_billed]

    def find(self, machine_id: str) -> Instance | None:
        """The machine as it was last seen."""
        return self._known[machine_id][0] if machine_id in self._known else None

    async def read(self, machine_id: str) -> Instance | None:
        """The machine as the store has it."""
        entry = await self._records.get(PREFIX + machine_id)
        return None if entry is None else machines.from_json(entry.value)

    async def add(self, machine: Instance) -> None:
        """Write a new machine down; on return it is on disk."""
        revision = await self._records.create(PREFIX + machine.id, machines.to_json(machine))
        self._note(machine, revision)

    async def change(self, machine_id: str, step: Step) -> Instance:
        """Apply a pure step to the machine as it is now, again if somebody else was faster; what came out."""
        for _ in range(CHANGE_TRIES):
            entry = await self._records.get(PREFIX + machine_id)
            if entry is None:
                self._known.pop(machine_id, None)
                raise NotFound(f"There is no machine {machine_id}.", reason="MACHINE_NOT_FOUND")
            machine = machines.from_json(entry.value)
            changed = step(machine)
            if changed == machine:
                self._note(machine, entry.revision)
                return machine
            with contextlib.suppress(Aborted):
                revision = await self._records.update(PREFIX + machine_id, machines.to_json(changed), entry.revision)
                self._note(changed, revision)
                return changed
        raise Aborted(f"Machine {machine_id} is changing too fast; try again.")

    async def prune(self, before: float, plans_before: float) -> None:
        """Forget machines that ended before a time, and plans of which nothing came before another: an account without
        credit makes one every minute."""
        for machine in self.all():
            limit = before if machine.provider_id else plans_before
            if machine.state is InstanceState.TERMINATED and (machine.ended_at or 0.0) < limit:
                await self._records.delete(PREFIX + machine.id)
                self._known.pop(machine.id, None)

    def _changed(self, key: str, value: bytes | None, revision: int) -> None:
        if not key.startswith(PREFIX):
            return
        if value is None:
            self._known.pop(key.removeprefix(PREFIX), None)
            return
        try:
            self._note(machines.from_json(value), revision)
        except (ValueError, KeyError, TypeError):
            log.exception("a machine's record cannot be read; look for the machine at its provider", key=key)

    def _note(self, machine: Instance, revision: int) -> None:
        known = self._known.get(machine.id)
        if known is not None and known[1] >= revision:
            return
        self._known[machine.id] = machine, revision
        for noticed in self._noticed:
            noticed(machine)
