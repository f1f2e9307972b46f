"""The lifecycle of instances: each record is reconciled with what the provider lists, one step at a time.

The steps depend on nothing but the record and the provider's list, so that a gateway killed anywhere is followed by one
that continues.

| record | at the provider | step |
|---|---|---|
| REQUESTED, being created by this gateway | – | wait |
| REQUESTED, else | its label is listed | PROVISIONING |
| REQUESTED, else | not in a list asked for `unclear_seconds` after the request | TERMINATED: it was never created |
| PROVISIONING or READY, draining | its last task has ended | TERMINATING |
| PROVISIONING | faulty, missing, or too slow | TERMINATING, and its host is blacklisted |
| PROVISIONING | its address is known, and its encoder answers | READY |
| READY | faulty, missing, or its encoder is silent | TERMINATING, and its host is blacklisted |
| TERMINATING | – | destroy until that succeeds; TERMINATED |
"""

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace

import structlog

from gateway.fleet.autoscaler import Offer
from gateway.fleet.estimates import EstimateStore
from gateway.fleet.instances.credentials import LaunchSpec
from gateway.fleet.instances.instance import Instance, InstanceState, is_label_of
from gateway.fleet.instances.registry import InstanceRegistry
from gateway.fleet.providers.base import InstanceProvider, LaunchUnknown, ListedInstance, OfferGone
from gateway.fleet.providers.monitor import CREATE, DESTROY, ProviderMonitor
from gateway.jetstream.records import UnreadableRecord
from gateway.workers.pool import Pool
from servicekit.errors import ServiceError
from servicekit.tasks import cancel_and_wait

log = structlog.get_logger("gateway.fleet")


@dataclass(frozen=True, slots=True)
class LifecycleTimeouts:
    """Timeouts in seconds."""

    # From the request to the first answer of the encoder.
    start_seconds: float = 600.0
    # Since the last answer of a ready encoder.
    silent_seconds: float = 60.0
    # From the request, after which an instance whose create got no answer would be listed: a create may wait for its
    # turn for half a minute, and for its answer for a minute.
    unclear_seconds: float = 150.0


@dataclass(eq=False)
class Lifecycle:
    """Reconciles the worker slots of a serverless provider: nothing is created for them, and nothing to be destroyed.

    A silent endpoint terminates none: its workers may work all the same.
    """

    monitor: ProviderMonitor
    registry: InstanceRegistry
    pool: Pool
    timeouts: LifecycleTimeouts

    async def launch(self, instance: Instance, offer: Offer) -> None:
        """Write the record of a slot, usable from now on: the provider starts a worker once a job is queued."""
        await self.registry.create(instance.id, instance.created(instance.id))
        log.info("worker slot opened", instance=instance.id, provider=instance.provider, offer=offer.description)

    async def reconcile(self, instance: Instance) -> None:
        """Take an instance one step further."""
        if instance.state is InstanceState.REQUESTED:
            await self._confirm(instance)
        elif instance.state is InstanceState.TERMINATING:
            await self._destroy(instance)
        elif instance.draining and not instance.running:
            await self.registry.update(instance.id, lambda known: known.drain(known.reason))
        elif instance.state is InstanceState.PROVISIONING and await self._became_ready(instance):
            return
        elif fault := self._fault(instance):
            log.warning("instance failed", instance=instance.id, provider=instance.provider, error=fault)
            await self._fail(instance, fault)

    async def close(self) -> None:
        """Stop; the records tell the next gateway how to continue."""
        await self.monitor.close()
        await self.monitor.provider.close()

    async def _confirm(self, instance: Instance) -> None:
        """Find out whether a requested instance was created."""
        await self._never_created(instance, "never created")

    async def _destroy(self, instance: Instance) -> None:
        """Destroy a terminating instance."""
        await self._terminated(instance)

    async def _became_ready(self, instance: Instance) -> bool:
        member = self.pool.member(instance.id)
        if member is None or not member.ready:
            return False
        await self.registry.update(instance.id, lambda known: known.became_ready(member.slots, time.time()))
        log.info("instance ready", instance=instance.id, seconds=round(time.time() - instance.created_at))
        return True

    def _fault(self, instance: Instance) -> str:
        """Return why the instance is of no use; "" if it is."""
        limit = self.timeouts.start_seconds
        is_late = instance.state is InstanceState.PROVISIONING and time.time() - instance.created_at > limit
        return f"not ready within {limit:g} s" if is_late else ""

    async def _fail(self, instance: Instance, fault: str) -> Instance:
        return await self.registry.update(instance.id, lambda known: known.terminate(fault))

    async def _never_created(self, instance: Instance, reason: str) -> None:
        await self.registry.update(instance.id, lambda known: known.never_created(reason))

    async def _terminated(self, instance: Instance) -> Instance:
        now = time.time()
        ended = await self.registry.update(instance.id, lambda known: known.terminated(now))
        log.info("instance terminated", instance=ended.id, reason=ended.reason, usd=round(ended.usd(now), 4))
        return ended


@dataclass(eq=False)
class InstanceLifecycle(Lifecycle):
    """Reconciles instances that are created and destroyed, each by one background task at a time."""

    provider: InstanceProvider
    estimate_store: EstimateStore
    fleet: str
    # The provider's list that was last searched for strays.
    _searched_at: float = field(default=0.0, init=False)
    _started_at: float = field(default_factory=time.time, init=False)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict, init=False)

    async def launch(self, instance: Instance, offer: Offer) -> None:
        """Write the record of an instance, then create it in the background."""
        spec = self.provider.prepare(instance.id)
        await self.registry.create(instance.id, replace(instance, access=spec.access))
        self._start(instance.id, self._create(instance, offer, spec))

    async def reconcile(self, instance: Instance) -> None:
        """Take an instance one step further, unless a background task does."""
        if instance.id in self._tasks:
            return
        listed = self._listed(instance)
        if instance.state is InstanceState.PROVISIONING and listed and listed.address not in ("", instance.address):
            address, usd_per_hour = listed.address, listed.usd_per_hour
            instance = await self.registry.update(instance.id, lambda known: known.located(address, usd_per_hour))
        await super().reconcile(instance)

    def destroy_strays(self) -> None:
        """Destroy listed instances that carry a label of this fleet and have no record, once for each list: a record is
        written before its instance is created."""
        if self.monitor.instances_at > self._searched_at:
            self._searched_at = self.monitor.instances_at
            for listed in self.monitor.instances.values():
                if is_label_of(self.fleet, listed.label) and listed.label not in self._tasks:
                    self._start(listed.label, self._destroy_stray(listed))

    async def close(self) -> None:
        """Cancel the background tasks; the records tell the next gateway how to continue."""
        await cancel_and_wait(*self._tasks.values())
        await super().close()

    def _start(self, label: str, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks[label] = task
        task.add_done_callback(lambda _: self._finished(label))

    def _finished(self, label: str) -> None:
        task = self._tasks.pop(label)
        if not task.cancelled() and (error := task.exception()):
            log.error("reconciling an instance failed; it is repeated", instance=label, exc_info=error)

    async def _create(self, instance: Instance, offer: Offer, spec: LaunchSpec) -> None:
        try:
            provider_id = await self.provider.create(offer, spec)
        except LaunchUnknown as error:
            self.monitor.consume(offer)
            log.warning("instance may have been created", instance=instance.id, error=error.message)
        except ServiceError as error:
            self.monitor.consume(offer)  # a search may have found it again meanwhile
            if not isinstance(error, OfferGone):
                self.monitor.failed(CREATE, error)
            await self._never_created(instance, error.message)
        else:
            self.monitor.succeeded(CREATE)
            log.info("instance created", instance=instance.id, provider=instance.provider, offer=offer.description)
            await self.registry.update(instance.id, lambda known: known.created(provider_id))

    async def _confirm(self, instance: Instance) -> None:
        if listed := self._listed(instance):
            await self.registry.update(instance.id, lambda known: known.created(listed.provider_id))
        elif self._would_be_listed(instance):
            await self._never_created(instance, "never created")
        else:
            self.monitor.refresh_instances(self.timeouts.unclear_seconds / 4)

    async def _became_ready(self, instance: Instance) -> bool:
        is_ready = await super()._became_ready(instance)
        if is_ready:
            seconds = time.time() - instance.created_at
            await self.estimate_store.setup_ended(instance.provider, seconds, self.provider.setup_seconds)
        return is_ready

    async def _fail(self, instance: Instance, fault: str) -> Instance:
        failed = await super()._fail(instance, fault)
        self.provider.blacklist(failed)
        self.monitor.offers = [offer for offer in self.monitor.offers if not failed.host or offer.host != failed.host]
        return failed

    async def _destroy(self, instance: Instance) -> None:
        self._start(instance.id, self._destroy_and_record(instance))

    async def _destroy_and_record(self, instance: Instance) -> None:
        if await self._is_destroyed(instance.provider_id):
            self.provider.record_outcome(await self._terminated(instance))

    async def _destroy_stray(self, listed: ListedInstance) -> None:
        # Read from the store: this gateway's memory of it may lag behind the provider's list.
        try:
            known = await self.registry.get(listed.label)
        except UnreadableRecord:  # a gateway of a later version wrote it, and looks after the instance
            return
        if known is None or not known.state.is_billed:
            log.warning("destroying an instance without a record", instance=listed.label)
            await self._is_destroyed(listed.provider_id)

    async def _is_destroyed(self, provider_id: str) -> bool:
        try:
            await self.provider.destroy(provider_id)
        except ServiceError as error:
            self.monitor.failed(DESTROY, error)
            return False
        self.monitor.succeeded(DESTROY)
        return True

    def _listed(self, instance: Instance) -> ListedInstance | None:
        return self.monitor.instances.get(instance.id)

    def _would_be_listed(self, instance: Instance) -> bool:
        return self.monitor.instances_at > instance.created_at + self.timeouts.unclear_seconds

    def _fault(self, instance: Instance) -> str:
        listed = self._listed(instance)
        if listed is None and self._would_be_listed(instance):
            return "missing from the provider's list"
        return (listed.fault if listed else "") or super()._fault(instance) or self._silence(instance)

    def _silence(self, instance: Instance) -> str:
        member = self.pool.member(instance.id)
        if instance.state is not InstanceState.READY or member is None or member.ready:
            return ""
        since = max(member.answered_at or 0.0, self._started_at, instance.ready_at or 0.0)
        limit = self.timeouts.silent_seconds
        return f"encoder silent for {limit:g} s" if time.time() - since > limit else ""
