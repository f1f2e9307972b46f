"""Pool membership of rented instances: each gateway's pool has the encoder of every instance that takes tasks."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.fleet.instances.instance import Instance
from gateway.fleet.providers.base import InstanceProvider, Provider
from gateway.workers.pool import Pool


@dataclass(eq=False)
class PoolSync:
    """A listener of the registry. Providers come in the order of preference; static encoders rank before them."""

    pool: Pool
    providers: Mapping[str, Provider]
    _addresses: dict[str, str] = field(default_factory=dict, init=False)

    def update(self, instance: Instance) -> None:
        """Add, replace or remove the encoder of an instance that has changed."""
        provider = self.providers.get(instance.provider)
        if provider is None:
            return
        is_reachable = bool(instance.address) or not isinstance(provider, InstanceProvider)
        if not instance.takes_tasks or self._addresses.get(instance.id, instance.address) != instance.address:
            self.pool.remove(instance.id)
            self._addresses.pop(instance.id, None)
        if instance.takes_tasks and is_reachable and instance.id not in self.pool:
            self._addresses[instance.id] = instance.address
            rank = list(self.providers).index(instance.provider) + 1
            self.pool.add(provider.encoder(instance), rank=rank, is_rented=True)
