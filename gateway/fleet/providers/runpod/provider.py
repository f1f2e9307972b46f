"""RunPod Serverless as a provider. RunPod starts workers by itself, when jobs are queued, and ends each at the idle
timeout after its last job. So what is rented here is a permit to keep one worker busy: it lives from the moment when
the first job may be queued for that worker until the idle timeout after its last, which is what RunPod bills."""

import time
from collections.abc import Callable, Sequence

from apigpu.encoder.v1 import encoder_pb2
from gateway.fleet.instances.instance import HOUR_SECONDS, Instance
from gateway.fleet.providers.base import LaunchSpec, ListedInstance, Offer
from gateway.workers.base import EncodeJob, Encoder, EncoderRefuses, Events, Outcome

NAME = "runpod"
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
    has_machines = False

    def __init__(
        self,
        endpoint: Encoder,
        usd_per_second: float,
        max_workers: int,
        slots: int,
        setup_seconds: Callable[[], float],
        rests_seconds: tuple[float, float] = RESTS_SECONDS,
    ) -> None:
        self._endpoint = endpoint
        self.most_usd_per_hour = usd_per_second * HOUR_SECONDS
        self._max_workers = max_workers
        self.slots = slots
        self._setup_seconds = setup_seconds
        self._refusal = Cooldown(rests_seconds)

    def prepare(self, label: str) -> LaunchSpec:
        """See Provider. RunPod's workers are set up with their endpoint."""
        return LaunchSpec(label, {})

    def encoder(self, machine: Instance) -> Encoder:
        """See Provider."""
        return RunpodWorkerSlot(machine.id, machine.slots, self._endpoint, self._refusal)

    async def offers(self) -> Sequence[Offer]:
        """See Provider. Raises Unavailable when the endpoint does not answer, or has refused a task lately."""
        self._refusal.check()
        await self._endpoint.ask()
        setup_seconds = self._setup_seconds()
        return [
            Offer(
                provider=NAME,
                id=f"worker {number}",
                usd_per_hour=self.most_usd_per_hour,
                setup_seconds=setup_seconds,
                slots=self.slots,
                description=f"a worker of endpoint {self._endpoint.name}",
            )
            for number in range(1, self._max_workers + 1)
        ]

    async def create(self, offer: Offer, launch: LaunchSpec) -> str:
        """See Provider. RunPod starts the worker once a job is queued."""
        return launch.label

    async def found(self) -> Sequence[ListedInstance]:
        """See Provider. RunPod looks after its workers itself."""
        return ()

    async def destroy(self, provider_id: str) -> None:
        """See Provider. RunPod ends the worker by its idle timeout."""

    def expect(self, tasks: float, task_seconds: float) -> None:
        """See Provider. All workers are alike."""

    def learn(self, machine: Instance) -> None:
        """See Provider. All workers are alike."""

    def avoid(self, machine: Instance) -> None:
        """See Provider. Nobody chooses a worker's host."""

    async def close(self) -> None:
        """See Provider. Closes the endpoint's connections."""
        await self._endpoint.close()


class RunpodWorkerSlot:
    """The endpoint as the encoder behind one permit."""

    def __init__(self, name: str, slots: int, endpoint: Encoder, refusal: Cooldown) -> None:
        self.name = name
        self._slots = slots
        self._endpoint = endpoint
        self._refusal = refusal

    async def ask(self) -> encoder_pb2.GetCapabilitiesResponse:
        """See Encoder: the slots of one worker. Raises EncoderBusy when the endpoint does not answer, or has refused a
        task lately."""
        self._refusal.check()
        await self._endpoint.ask()
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

    async def forget(self, task_id: str) -> None:
        """See Encoder."""
        await self._endpoint.forget(task_id)

    async def close(self) -> None:
        """See Encoder. The endpoint is shared."""
