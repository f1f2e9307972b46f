"""Seats for rented machines: every gateway's pool has one for each machine on record that takes tasks."""

from collections.abc import Mapping

from gateway.fleet.instances.instance import Instance
from gateway.fleet.instances.registry import InstanceRegistry
from gateway.fleet.providers.base import InstanceProvider, Provider
from gateway.workers.pool import Pool


class PoolSync:
    """Follows the register. Providers come in the order of preference: own encoders first, then theirs."""

    def __init__(self, register: InstanceRegistry, pool: Pool, providers: Mapping[str, Provider]) -> None:
        self._pool = pool
        self._providers = providers
        self._ranks = {name: rank for rank, name in enumerate(providers, 1)}
        self._addresses: dict[str, str] = {}
        register.on_change(self._noticed)

    def _noticed(self, machine: Instance) -> None:
        provider = self._providers.get(machine.provider)
        if provider is None:
            return
        reachable = bool(machine.address) or not isinstance(provider, InstanceProvider)
        if not machine.takes_tasks or self._addresses.get(machine.id, machine.address) != machine.address:
            self._pool.remove(machine.id)
            self._addresses.pop(machine.id, None)
        if machine.takes_tasks and reachable and machine.id not in self._pool:
            self._addresses[machine.id] = machine.address
            rank = self._ranks[machine.provider]
            self._pool.add(provider.encoder(machine), rank=rank, is_rented=True)
