"""RunPod Serverless as a provider. RunPod starts workers by itself, when jobs are queued, and ends each at the idle
timeout after its last job. So what is rented here is a permit to keep one worker busy: it lives from the moment when
the first job may be queued for that worker until the idle timeout after its last, which is what RunPod bills."""

import time
from collections.abc import Sequence

from apigpu.encoder.v1 import encoder_pb2
from gateway.fleet.instances.instance import HOUR_SECONDS, Instance
from gateway.fleet.providers.base import EndpointConfig, Offer
from gateway.fleet.providers.runpod.encoder import RunpodEncoder
from gateway.workers.base import EncodeJob, Encoder, EncoderRefuses, Events, Outcome

NAME = "runpod"
SETUP_SECONDS = 15.0
# The first and the longest rest of an endpoint that refuses tasks.
RESTS_SECONDS = (5.0, 300.0)


class Cooldown:
    """What an endpoint said when it refused a task. For a while it counts as one that does not answer, for longer each
    time, so that tasks go elsewhere."""

    def __init__(self, rests_seconds: tuple[float, float]) -> None:
        self._first_seconds, self._most_seconds = rests_seconds
        self._seconds = 0.0
        self._until = 0.0
        self._text = ""

    def note(self, text: str) -> None:
        """The endpoint has refused a task; those that were under way together count once."""
        if time.monotonic() >= self._until:
            self._seconds = min(self._seconds * 2 or self._first_seconds, self._most_seconds)
            self._until, self._text = time.monotonic() + self._seconds, text

    def clear(self) -> None:
        """The endpoint has taken a task."""
        self._seconds = self._until = 0.0

    def check(self) -> None:
        """Raise EncoderRefuses while the endpoint rests."""
        if time.monotonic() < self._until:
            raise EncoderRefuses(self._text)


class RunpodProvider:
    """See base.Provider. `endpoint` is the encoder that all workers are behind; a worker runs `slots` tasks at once."""

    name = NAME
    setup_seconds = SETUP_SECONDS

    def __init__(
        self,
        endpoint: RunpodEncoder,
        usd_per_second: float,
        max_workers: int,
        slots: int,
        rests_seconds: tuple[float, float] = RESTS_SECONDS,
    ) -> None:
        self.endpoint = endpoint
        self.max_usd_per_hour = usd_per_second * HOUR_SECONDS
        self._max_workers = max_workers
        self.slots = slots
        self._refusal = Cooldown(rests_seconds)

    def encoder(self, machine: Instance) -> Encoder:
        """See Provider."""
        return RunpodWorkerSlot(machine.id, machine.slots, self.endpoint, self._refusal)

    async def offers(self) -> Sequence[Offer]:
        """See Provider. Raises Unavailable when the endpoint does not answer, or has refused a task lately."""
        self._refusal.check()
        await self.endpoint.capabilities()
        return [
            Offer(
                provider=NAME,
                id=f"worker {number}",
                usd_per_hour=self.max_usd_per_hour,
                setup_seconds=SETUP_SECONDS,
                slots=self.slots,
                description=f"a worker of endpoint {self.endpoint.name}",
            )
            for number in range(1, self._max_workers + 1)
        ]

    async def endpoint_config(self) -> EndpointConfig:
        """Return how the endpoint is set up at RunPod."""
        return await self.endpoint.config()

    async def close(self) -> None:
        """See Provider. Closes the endpoint's connections."""
        await self.endpoint.close()


class RunpodWorkerSlot:
    """The endpoint as the encoder behind one permit."""

    def __init__(self, name: str, slots: int, endpoint: Encoder, refusal: Cooldown) -> None:
        self.name = name
        self._slots = slots
        self._endpoint = endpoint
        self._refusal = refusal

    async def capabilities(self) -> encoder_pb2.GetCapabilitiesResponse:
        """See Encoder: the slots of one worker. Raises EncoderBusy when the endpoint does not answer, or has refused a
        task lately."""
        self._refusal.check()
        await self._endpoint.capabilities()
        return encoder_pb2.GetCapabilitiesResponse(slots=self._slots)

    async def run(self, job: EncodeJob, events: Events) -> Outcome:
        """See Encoder."""
        self._refusal.check()
        try:
            outcome = await self._endpoint.run(job, events)
        except EncoderRefuses as error:
            self._refusal.note(error.message)
            raise
        self._refusal.clear()
        return outcome

    async def release(self, task_id: str) -> None:
        """See Encoder."""
        await self._endpoint.release(task_id)

    async def close(self) -> None:
        """See Encoder. The endpoint is shared."""
