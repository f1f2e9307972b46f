"""Counts the time that tasks take on rented machines."""

import structlog

from gateway.fleet import billing
from gateway.fleet.billing import Cost, UsageInterval
from gateway.fleet.instances.instance import InstanceState
from gateway.fleet.instances.registry import InstanceRegistry
from gateway.workers.base import EncoderBusy
from servicekit.errors import NotFound, ServiceError

log = structlog.get_logger("fleet")


class UsageMeter:
    """Begins and ends runs in the register, and tells what spells cost."""

    def __init__(self, register: InstanceRegistry) -> None:
        self._register = register

    async def begin(self, machine_id: str, task: str, now: float) -> None:
        """A task is given to a machine, which cannot be given back from now on until `end`. Raises EncoderBusy when it
        takes no more tasks."""
        try:
            machine = await self._register.change(machine_id, lambda m: m.run_started(task, now))
        except NotFound as error:
            raise EncoderBusy(f"Machine {machine_id} is gone.") from error
        if not machine.runs(task):
            raise EncoderBusy(f"Machine {machine_id} is being given back.")

    async def end(self, machine_id: str, task: str, now: float) -> None:
        """The task has ended there. A store that is away is no reason to fail: the control ends runs that are over."""
        try:
            await self._register.change(machine_id, lambda m: m.run_ended(task, now))
        except ServiceError as error:
            log.warning("the end of a run could not be written down", machine=machine_id, error=error.message)

    async def drop(self, machine_id: str, task: str) -> None:
        """The task did not begin there after all: as if it had never been given. See `end` for errors."""
        try:
            await self._register.change(machine_id, lambda m: m.run_dropped(task))
        except ServiceError as error:
            log.warning("the end of a run could not be written down", machine=machine_id, error=error.message)

    def is_living(self, machine_id: str) -> bool:
        """Whether the machine is there for its tasks, as far as is known here: it may be given back under one."""
        machine = self._register.find(machine_id)
        return machine is not None and machine.state in (InstanceState.PROVISIONING, InstanceState.READY)

    def cost(self, spells: tuple[UsageInterval, ...], now: float, idle_seconds: float = 0.0) -> Cost | None:
        """What spells cost together; None when there are none. See costs.of_spells for `idle_seconds`."""
        return billing.cost_of(spells, self._register.find, now, idle_seconds)
