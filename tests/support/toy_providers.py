"""Two small providers, as a contributor would add them: one of instances, one serverless. Each is what its folder would
hold; a test enters them in the registry. All that they rent out is one encoder, which is running already."""

from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from gateway.fleet.autoscaler import Offer
from gateway.fleet.instances.credentials import LaunchSpec
from gateway.fleet.providers.base import EndpointConfig, ListedInstance, ProviderSettings
from gateway.workers.grpc import GrpcEncoder
from servicekit.tls import Identity


class ToySettings(ProviderSettings):
    model_config = SettingsConfigDict(env_prefix="TOY_")

    api_key: SecretStr = SecretStr("")
    encoder: str = ""
    certs: Path = Path()
    usd_per_hour: float = 1.0

    @property
    def is_configured(self):
        return bool(self.api_key.get_secret_value())


class ServerlessToySettings(ToySettings):
    model_config = SettingsConfigDict(env_prefix="BURST_")


class Toy:
    """What both kinds share."""

    slots, setup_seconds = 1, 5.0

    def __init__(self, name, settings):
        self.name, self.settings, self.max_usd_per_hour = name, settings, settings.usd_per_hour

    async def offers(self):
        return [Offer(self.name, f"toy {n}", self.max_usd_per_hour, self.setup_seconds) for n in range(2)]

    def opened(self, address, name):
        certs = self.settings.certs
        identity = Identity.read(certs / "gateway.crt", certs / "gateway.key", certs / "ca.crt")
        return GrpcEncoder(address, identity.channel_credentials(), "", name=name)

    async def close(self):
        pass


class ToyProvider(Toy):
    """Instances come up at once. `workloads` and `outcomes` are what it was told."""

    def __init__(self, settings):
        super().__init__("toy", settings)
        self.instances, self.created, self.workloads, self.outcomes = {}, 0, [], []

    def prepare(self, label):
        return LaunchSpec(label, {})

    def encoder(self, instance):
        return self.opened(instance.address, instance.id)

    async def create(self, offer, launch):
        self.created += 1
        id_ = f"i-{self.created}"
        self.instances[id_] = ListedInstance(id_, launch.label, self.settings.encoder)
        return id_

    async def list_instances(self):
        return list(self.instances.values())

    async def destroy(self, provider_id):
        self.instances.pop(provider_id, None)

    def set_workload(self, tasks, task_seconds):
        self.workloads.append(tasks)

    def record_outcome(self, instance):
        self.outcomes.append(instance)

    def blacklist(self, instance):
        raise AssertionError("nothing of it fails")


class ServerlessToy(Toy):
    """Its workers are always there."""

    def __init__(self, settings):
        super().__init__("burst", settings)
        self.endpoint = self.opened(settings.encoder, "burst")

    def encoder(self, instance):
        return self.opened(self.settings.encoder, instance.id)

    async def endpoint_config(self):
        return EndpointConfig("burst", 1, 60)

    async def close(self):
        await self.endpoint.close()


def toy(opened):
    """Settings that put what they open into the list."""

    class Noted(ToySettings):
        def open(self, context):
            return _noted(opened, ToyProvider(self))

    return Noted


def serverless_toy(opened):
    class Noted(ServerlessToySettings):
        def open(self, context):
            return _noted(opened, ServerlessToy(self))

    return Noted


def _noted(opened, provider):
    opened.append(provider)
    return provider
