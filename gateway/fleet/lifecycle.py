"""The life of a machine: from the plan to its end, one step at a time, from whatever its record says.

Nothing is remembered here that a gateway started anew would need: each step looks at the record and at what the
provider tells, so that one that was killed anywhere is followed by one that goes on.

| record | at the provider | step |
|---|---|---|
| PLANNED, being made by us | – | wait |
| PLANNED, else | its label is there | STARTING |
| PLANNED, else | asked `unclear_seconds` after the plan, and not there | ENDED: it was never made |
| STARTING or READY, and to be given back | its last task has ended | ENDING |
| STARTING | fault, gone, or too slow | ENDING, and the host is avoided |
| STARTING | address known, and its encoder answers | READY |
| READY | fault, gone, or its encoder is silent | ENDING, and the host is avoided |
| ENDING | – | destroy, until it is done; ENDED |
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace

import structlog

from gateway.fleet.estimates import EstimateStore
from gateway.fleet.instances.instance import Instance, InstanceState
from gateway.fleet.instances.registry import InstanceRegistry
from gateway.fleet.providers.base import LaunchSpec, LaunchUnknown, ListedInstance, Offer, OfferGone
from gateway.fleet.providers.monitor import CREATE, DESTROY, InstanceMonitor
from gateway.workers.pool import Pool
from servicekit.errors import ServiceError
from servicekit.tasks import cancel_and_wait

log = structlog.get_logger("fleet")


@dataclass(frozen=True, slots=True)
class LifecycleTimeouts:
    """How long things may take, seconds."""

    # From the order to the first answer of the encoder.
    start_seconds: float = 600.0
    # That an encoder which has answered may be silent.
    silent_seconds: float = 60.0
    # From the plan, after which a machine whose making got no answer would be in the provider's list: an order may wait
    # for its turn for half a minute, and for its answer for a minute.
    unclear_seconds: float = 150.0


class InstanceLifecycle:
    """Steps instances of one provider on. What takes long runs in the background, once at a time for each machine."""

    def __init__(
        self,
        register: InstanceRegistry,
        market: InstanceMonitor,
        pool: Pool,
        knowledge: EstimateStore,
        patience: LifecycleTimeouts,
    ) -> None:
        self._register = register
        self._market = market
        self._provider = market.instance_provider
        self._pool = pool
        self._knowledge = knowledge
        self._patience = patience
        self._begun_at = time.time()
        self._work: dict[str, asyncio.Task[None]] = {}

    async def rent(self, machine: Instance, offer: Offer) -> None:
        """Write a machine down, then begin to make it."""
        launch = self._provider.prepare(machine.id)
        await self._register.add(replace(machine, access=launch.access))
        self._begin(machine.id, self._make(machine, offer, launch))

    async def step(self, machine: Instance) -> None:
        """Take a machine one step on."""
        if machine.id in self._work:
            return
        if machine.state is InstanceState.REQUESTED:
            await self._look_for(machine)
        elif machine.state is InstanceState.TERMINATING:
            self._begin(machine.id, self._end(machine))
        elif machine.draining and not machine.running:
            await self._register.change(machine.id, lambda m: m.drain(m.reason))
        elif machine.state is InstanceState.PROVISIONING:
            await self._look_after_start(machine)
        elif machine.state is InstanceState.READY:
            await self._look_after(machine)

    def destroy_strays(self, is_ours: Callable[[str], bool]) -> None:
        """Give back machines that carry a label of ours and that nobody has on record as living. A record is written
        before its machine is asked for, so one without is left over."""
        for found in self._market.instances.values():
            if is_ours(found.label) and found.label not in self._work:
                self._begin(found.label, self._destroy_stray(found))

    async def _destroy_stray(self, found: ListedInstance) -> None:
        if await self._is_living(found.label):
            return
        log.warning("a machine that nobody owns is given back", machine=found.label)
        await self._destroy(found.provider_id)

    async def _is_living(self, label: str) -> bool:
        """By the store itself: a gateway's memory of it may lag behind the provider's list."""
        known = await self._register.read(label)
        return known is not None and known.state.is_billed

    async def close(self) -> None:
        """End what is being done; the records tell the next gateway how to go on."""
        await cancel_and_wait(*self._work.values())

    def _begin(self, label: str, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._work[label] = task
        task.add_done_callback(lambda _: self._worked(label))

    def _worked(self, label: str) -> None:
        task = self._work.pop(label)
        if not task.cancelled() and (error := task.exception()):
            log.error("a step of a machine failed; it is taken again", machine=label, exc_info=error)

    async def _make(self, machine: Instance, offer: Offer, launch: LaunchSpec) -> None:
        try:
            provider_id = await self._provider.create(offer, launch)
        except LaunchUnknown as error:
            log.warning("nobody knows whether a machine was made", machine=machine.id, error=error.message)
        except ServiceError as error:
            if not isinstance(error, OfferGone):
                self._market.failed(CREATE, error)
            await self._never_made(machine, error.message)
        else:
            self._market.succeeded(CREATE)
            log.info("machine rented", machine=machine.id, provider=self._provider.name, offer=offer.description)
            await self._register.change(machine.id, lambda m: m.created(provider_id))

    async def _look_for(self, machine: Instance) -> None:
        found = self._market.instances.get(machine.id)
        if found is not None:
            await self._register.change(machine.id, lambda m: m.created(found.provider_id))
        elif self._would_be_listed(machine):
            await self._never_made(machine, "it was never made")
        else:
            self._market.refresh_instances(self._patience.unclear_seconds / 4)

    async def _never_made(self, machine: Instance, reason: str) -> None:
        await self._register.change(machine.id, lambda m: m.never_created(reason))

    def _would_be_listed(self, machine: Instance) -> bool:
        return self._market.instances_at > machine.created_at + self._patience.unclear_seconds

    async def _look_after_start(self, machine: Instance) -> None:
        found = self._seen(machine)
        if found is not None and found.address and found.address != machine.address:
            machine = await self._register.change(machine.id, lambda m: m.located(found.address, found.usd_per_hour))
        if await _became_ready(self._register, self._pool, machine):
            seconds = time.time() - machine.created_at
            await self._knowledge.setup_ended(machine.provider, seconds, self._provider.setup_seconds)
        elif fault := self._fault(machine) or _too_slow(machine, self._patience):
            await self._give_up(machine, fault)

    async def _look_after(self, machine: Instance) -> None:
        if fault := self._fault(machine) or self._silent(machine):
            await self._give_up(machine, fault)

    async def _give_up(self, machine: Instance, fault: str) -> None:
        log.warning("machine given up", machine=machine.id, provider=self._provider.name, why=fault)
        self._market.blacklist(await self._register.change(machine.id, lambda m: m.terminate(fault)))

    async def _end(self, machine: Instance) -> None:
        if not await self._destroy(machine.provider_id):
            return
        done = await self._register.change(machine.id, lambda m: m.terminated(time.time()))
        self._provider.record_outcome(done)
        log.info("machine given back", machine=machine.id, why=done.reason, usd=round(done.usd(time.time()), 4))

    async def _destroy(self, provider_id: str) -> bool:
        """Whether it is gone."""
        try:
            await self._provider.destroy(provider_id)
        except ServiceError as error:
            self._market.failed(DESTROY, error)
            return False
        self._market.succeeded(DESTROY)
        return True

    def _seen(self, machine: Instance) -> ListedInstance | None:
        return self._market.instances.get(machine.id)

    def _fault(self, machine: Instance) -> str:
        """Why the provider's list says that nothing will come of it."""
        found = self._seen(machine)
        if found is not None:
            return found.fault
        return "it is gone from its provider's list" if self._would_be_listed(machine) else ""

    def _silent(self, machine: Instance) -> str:
        seat = self._pool.seat(machine.id)
        if seat is None or seat.ready:
            return ""
        since = max(seat.answered_at or 0.0, self._begun_at, machine.ready_at or 0.0)
        limit = self._patience.silent_seconds
        return f"its encoder has been silent for {limit:g} s" if time.time() - since > limit else ""


class WorkerSlotLifecycle:
    """Steps worker slots of a serverless provider on: nothing is created for them, and nothing is there to destroy."""

    def __init__(self, register: InstanceRegistry, pool: Pool, patience: LifecycleTimeouts) -> None:
        self._register = register
        self._pool = pool
        self._patience = patience

    async def rent(self, machine: Instance, offer: Offer) -> None:
        """Write a slot down, open from now on: the provider starts a worker once a job is queued."""
        await self._register.add(machine.created(machine.id))
        log.info("machine rented", machine=machine.id, provider=machine.provider, offer=offer.description)

    async def step(self, machine: Instance) -> None:
        """Take a slot one step on. A silent endpoint ends none: its workers may work all the same."""
        change = self._register.change
        if machine.state is InstanceState.REQUESTED:
            await change(machine.id, lambda m: m.never_created("it was never made"))
        elif machine.state is InstanceState.TERMINATING:
            done = await change(machine.id, lambda m: m.terminated(time.time()))
            log.info("machine given back", machine=machine.id, why=done.reason, usd=round(done.usd(time.time()), 4))
        elif machine.draining and not machine.running:
            await change(machine.id, lambda m: m.drain(m.reason))
        elif machine.state is InstanceState.PROVISIONING:
            if await _became_ready(self._register, self._pool, machine):
                return
            if fault := _too_slow(machine, self._patience):
                log.warning("machine given up", machine=machine.id, provider=machine.provider, why=fault)
                await change(machine.id, lambda m: m.terminate(fault))


async def _became_ready(register: InstanceRegistry, pool: Pool, machine: Instance) -> bool:
    """Note that its encoder answers; whether it does."""
    seat = pool.seat(machine.id)
    if seat is None or not seat.ready:
        return False
    await register.change(machine.id, lambda m: m.became_ready(seat.slots, time.time()))
    log.info("machine ready", machine=machine.id, seconds=round(time.time() - machine.created_at))
    return True


def _too_slow(machine: Instance, patience: LifecycleTimeouts) -> str:
    limit = patience.start_seconds
    return f"it did not come up within {limit:g} s" if time.time() - machine.created_at > limit else ""
