"""RunPod Serverless as a provider. RunPod starts workers by itself, when jobs are queued, and ends each at the idle
timeout after its last job. So what is rented here is a worker slot: it is open from the moment when the first job may
be queued for one worker until the idle timeout after its last, which is what RunPod bills."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from apigpu.encoder.v1 import encoder_pb2
from gateway.fleet.autoscaler import Offer
from gateway.fleet.instances.instance import HOUR_SECONDS, Instance
from gateway.fleet.providers.base import HTTPS, EndpointConfig, ProviderContext, ProviderSettings
from gateway.fleet.providers.runpod.client import RunpodClient
from gateway.fleet.providers.runpod.encoder import RunpodEncoder
from gateway.fleet.providers.runpod.run import RunTimeouts
from gateway.workers.base import EncodeJob, Encoder, EncoderRefuses, Events, Outcome
from gateway.workers.tickets import TaskLinks
from servicekit.backoff import Backoff, Cooldowns

NAME = "runpod"
SETUP_SECONDS = 15.0
BACKOFF = Backoff(5.0, 300.0, jitter=0.0)


class RunpodSettings(ProviderSettings):
    """Read the settings of RunPod; docs/reference/settings.md tells of each, as a test holds."""

    model_config = SettingsConfigDict(env_prefix="RUNPOD_")

    api_key: SecretStr = SecretStr("")
    endpoint_id: str = ""
    url: Annotated[str, Field(pattern=HTTPS)] = "https://api.runpod.ai/v2"
    rest_url: Annotated[str, Field(pattern=HTTPS)] = "https://api.runpod.io/v2"
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

    def open(self, context: ProviderContext) -> "RunpodProvider":
        """Return the provider of the workers of RUNPOD_ENDPOINT_ID."""
        client = RunpodClient(self.url, self.endpoint_id, self.api_key.get_secret_value(), rest_url=self.rest_url)
        timeouts = RunTimeouts(max_seconds=self.max_timeout)
        links = TaskLinks(context.links, context.assets, context.public_url, timeouts.life_seconds)
        encoder = RunpodEncoder(client, context.tickets, context.assets, links, timeouts)
        slots, idle_seconds = self.slots, self.idle_timeout
        return RunpodProvider(encoder, self.usd_per_second, self.max_workers, slots, idle_seconds=idle_seconds)


@dataclass(eq=False)
class RunpodProvider:
    """Rent worker slots of one RunPod endpoint. A worker runs `slots` tasks at once.

    An endpoint that refused a task counts as one that does not answer for a while, so that tasks go elsewhere.
    """

    endpoint: RunpodEncoder
    usd_per_second: float
    max_workers: int
    slots: int
    backoff: Backoff = BACKOFF
    clock: Callable[[], float] = time.monotonic
    idle_seconds: int = 300
    name = NAME
    setup_seconds = SETUP_SECONDS

    def __post_init__(self) -> None:
        self.max_usd_per_hour = self.usd_per_second * HOUR_SECONDS
        self._cooldowns = Cooldowns(self.backoff)
        self._refusal = ""

    def encoder(self, instance: Instance) -> Encoder:
        return RunpodWorkerSlot(instance.id, instance.slots, self)

    async def offers(self) -> Sequence[Offer]:
        """Return an offer for each worker. Raises EncoderBusy if the endpoint does not answer, or refused a task."""
        await self.check_endpoint()
        return [
            Offer(
                provider=NAME,
                id=f"worker {number}",
                usd_per_hour=self.max_usd_per_hour,
                setup_seconds=SETUP_SECONDS,
                slots=self.slots,
                description=f"a worker of endpoint {self.endpoint.name}",
            )
            for number in range(1, self.max_workers + 1)
        ]

    async def endpoint_config(self) -> EndpointConfig:
        """Return how the endpoint is set up at RunPod; by `idle_seconds` where it has no idle timeout."""
        client = self.endpoint.client
        found = await client.endpoint()
        idle_seconds = self.idle_seconds if found.idle_seconds is None else found.idle_seconds
        return EndpointConfig(client.endpoint_id, idle_seconds, found.max_seconds)

    async def notice(self) -> str:
        """Return why tasks may wait at RunPod although it answers: no card in stock; "" for no reason. Where the API
        that tells was retired, that."""
        stock = self.endpoint.stock
        await stock.refresh()
        return stock.shortage or stock.fault

    async def check_endpoint(self) -> None:
        """Raise EncoderBusy if the endpoint does not answer, or refused a task lately."""
        self._check_cooldown()
        await self.endpoint.capabilities()

    async def run(self, job: EncodeJob, events: Events) -> Outcome:
        """Run a task on any worker; see base.Encoder. A refusal begins a cooldown."""
        self._check_cooldown()
        try:
            outcome = await self.endpoint.run(job, events)
        except EncoderRefuses as error:
            # Tasks that were refused together count once.
            if not self._cooldowns.is_active(NAME, self.clock()):
                self._cooldowns.add(NAME, self.clock())
                self._refusal = error.message
            raise
        self._cooldowns.clear(NAME)
        return outcome

    async def close(self) -> None:
        await self.endpoint.close()

    def _check_cooldown(self) -> None:
        if self._cooldowns.is_active(NAME, self.clock()):
            raise EncoderRefuses(self._refusal)


@dataclass(eq=False, slots=True)
class RunpodWorkerSlot:
    """The endpoint as the encoder behind one worker slot."""

    name: str
    slots: int
    provider: RunpodProvider

    async def capabilities(self) -> encoder_pb2.GetCapabilitiesResponse:
        """Return the slots of one worker. Raises EncoderBusy as RunpodProvider.check_endpoint."""
        await self.provider.check_endpoint()
        return encoder_pb2.GetCapabilitiesResponse(slots=self.slots)

    async def run(self, job: EncodeJob, events: Events) -> Outcome:
        return await self.provider.run(job, events)

    async def release(self, task_id: str) -> None:
        await self.provider.endpoint.release(task_id)

    async def until_ended(self, task_id: str) -> None:
        await self.provider.endpoint.until_ended(task_id)

    async def close(self) -> None:
        """Keep the endpoint open: it is shared."""
