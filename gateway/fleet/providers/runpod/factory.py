"""Settings of RunPod Serverless, and the provider that they open."""

from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from gateway.fleet.providers.base import HTTPS, EndpointConfig, ProviderContext, ProviderFactory, ProviderSettings
from gateway.fleet.providers.runpod.client import RunpodClient
from gateway.fleet.providers.runpod.encoder import RunpodEncoder
from gateway.fleet.providers.runpod.provider import RunpodProvider
from gateway.fleet.providers.runpod.run import RunTimeouts
from gateway.workers.tickets import TaskLinks


class RunpodSettings(ProviderSettings):
    """See the settings table in README.md; a test holds the two together."""

    model_config = SettingsConfigDict(env_prefix="RUNPOD_")

    api_key: SecretStr = SecretStr("")
    endpoint_id: str = ""
    url: Annotated[str, Field(pattern=HTTPS)] = "https://api.runpod.ai/v2"
    rest_url: Annotated[str, Field(pattern=HTTPS)] = "https://rest.runpod.io/v1"
    idle_timeout: Annotated[int, Field(ge=1)] = 300
    max_timeout: Annotated[int, Field(ge=5)] = 600
    usd_per_second: Annotated[float, Field(ge=0)] = 0.00019
    max_workers: Annotated[int, Field(ge=1)] = 3
    slots: Annotated[int, Field(ge=1, le=64)] = 3

    @property
    def is_configured(self) -> bool:
        """Whether a RunPod endpoint is set up."""
        return bool(self.endpoint_id and self.api_key.get_secret_value())

    @property
    def endpoint(self) -> EndpointConfig:
        """The endpoint as set here."""
        return EndpointConfig(self.endpoint_id, self.idle_timeout, self.max_timeout)


def open_runpod(settings: RunpodSettings, context: ProviderContext) -> RunpodProvider:
    """Return the provider of the workers of RUNPOD_ENDPOINT_ID."""
    key = settings.api_key.get_secret_value()
    client = RunpodClient(settings.url, settings.endpoint_id, key, rest_url=settings.rest_url)
    timeouts = RunTimeouts(max_seconds=settings.max_timeout)
    links = TaskLinks(context.links, context.assets, context.public_url, timeouts.life_seconds)
    endpoint = RunpodEncoder(client, context.tickets, context.assets, links, timeouts)
    return RunpodProvider(endpoint, settings.usd_per_second, settings.max_workers, settings.slots)


RUNPOD = ProviderFactory(RunpodSettings, open_runpod)
