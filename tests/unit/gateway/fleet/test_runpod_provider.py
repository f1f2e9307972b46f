"""Worker slots: an endpoint that refuses tasks is left alone for a while, so that the next provider has its turn."""

from dataclasses import dataclass

import pytest

from apigpu.encoder.v1 import encoder_pb2
from gateway.fleet.instances.instance import Instance
from gateway.fleet.providers.runpod.provider import RunpodProvider
from gateway.workers.base import EncoderBusy, EncoderRefuses, Outcome
from servicekit.backoff import Backoff


@dataclass
class Endpoint:
    """Answers, and refuses tasks, or has no place for them, until it is mended."""

    fault: Exception | None
    name: str = "runpod:e"
    tasks: int = 0

    async def capabilities(self):
        return encoder_pb2.GetCapabilitiesResponse()

    async def run(self, job, events):
        self.tasks += 1
        if self.fault:
            raise self.fault
        return Outcome(encoder_pb2.Summary())


class Clock:
    """A clock that a test turns."""

    now = 0.0

    def __call__(self):
        return self.now


def made(fault, clock=None):
    endpoint = Endpoint(fault)
    provider = RunpodProvider(endpoint, 0.001, 2, 1, Backoff(10.0, 100.0, jitter=0), clock or Clock())
    encoders = [provider.encoder(Instance(name, "runpod", 3.6, 0.0)) for name in ("a", "b")]
    return endpoint, provider, encoders


async def test_an_endpoint_that_refuses_a_task_is_passed_over_for_longer_each_time():
    clock = Clock()
    endpoint, provider, (one, other) = made(EncoderRefuses("RunPod has insufficient credit."), clock)
    assert len(await provider.offers()) == 2
    for rest_seconds in (10.0, 20.0):
        with pytest.raises(EncoderBusy):
            await one.run(None, None)
        for ask in (provider.offers, one.capabilities, other.capabilities, lambda: other.run(None, None)):
            with pytest.raises(EncoderBusy, match="has insufficient credit"):
                await ask()
        clock.now += rest_seconds - 1
        with pytest.raises(EncoderBusy):
            await provider.offers()
        clock.now += 1
        assert len(await provider.offers()) == 2
    endpoint.fault = None
    await other.run(None, None)
    assert endpoint.tasks == 3
    assert (await one.capabilities()).slots == 1


async def test_an_endpoint_without_a_free_worker_is_not_passed_over():
    _, provider, (one, other) = made(EncoderBusy("No worker of RunPod took the task."))
    with pytest.raises(EncoderBusy):
        await one.run(None, None)
    assert len(await provider.offers()) == 2
    assert (await other.capabilities()).slots == 1
