"""Calls that somebody without a key opens and leaves open: headers without a message, and watches of health."""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from attack.target import SECONDS, Row, Target
from servicekit.tls import Identity

CALLS = 1000
CONNECTIONS = 4
# To hold is the point, not to flood.
AGAIN_PER_SECOND = 100
# Methods that need no key, and one that does.
METHODS = (
    "/apigpu.v1.SystemService/GetHealth",
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/apigpu.v1.JobService/ListJobs",
)


async def rows(target: Target, folder: Path) -> AsyncIterator[Row]:
    """Hold calls on the main port, and watches and calls on that of health checks."""
    certificates = target.pair.certificates
    identity = Identity.read(certificates / "client.crt", certificates / "client.key", certificates / "ca.crt")
    secure = functools.partial(grpc.aio.secure_channel, target.pair.target, identity.channel_credentials())
    plain = functools.partial(grpc.aio.insecure_channel, f"localhost:{target.pair.health_port}")
    headers = functools.partial(_hold, secure, _stalled)
    yield await target.under(f"{CALLS} calls without a message, no key", headers, max_memory_mib=200)
    probes = functools.partial(_hold, plain, _stalled)
    yield await target.under(f"{CALLS} calls without a message, health port", probes, max_memory_mib=200)
    watches = functools.partial(_hold, plain, _watch)
    yield await target.under(f"{CALLS} watches, health port", functools.partial(_checked, target, watches))


def _stalled(channel: grpc.aio.Channel, number: int) -> Any:
    return channel.stream_stream(METHODS[number % len(METHODS)])()


def _watch(channel: grpc.aio.Channel, number: int) -> Any:
    return health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())


async def _hold(
    connect: Callable[..., grpc.aio.Channel], call: Callable[[grpc.aio.Channel, int], Any], seconds: float = SECONDS - 2
) -> str:
    """Open the calls, and open others for those that end, until the time is over."""
    own = [("grpc.use_local_subchannel_pool", 1)]
    channels = [connect(options=own) for _ in range(CONNECTIONS)]
    try:
        open_calls = [call(channels[number % CONNECTIONS], number) for number in range(CALLS)]
        ended = await _replace(open_calls, lambda number: call(channels[number % CONNECTIONS], number), seconds)
    finally:
        await asyncio.gather(*(channel.close() for channel in channels))
    return f"{ended} ended by the gateway"


async def _replace(open_calls: list[Any], again: Callable[[int], Any], seconds: float) -> int:
    loop, ended = asyncio.get_running_loop(), 0
    end = loop.time() + seconds
    while loop.time() < end:
        await asyncio.sleep(1)
        for number in _done(open_calls)[:AGAIN_PER_SECOND]:
            open_calls[number] = again(number)
            ended += 1
    return ended


def _done(calls: Sequence[Any]) -> list[int]:
    return [number for number, call in enumerate(calls) if call.done()]


async def _checked(target: Target, hold: Callable[[], Awaitable[str]]) -> str:
    """Hold the calls, and check health as Kubernetes does meanwhile."""
    holding, refused, checks = asyncio.ensure_future(hold()), 0, 0
    while not holding.done():
        await asyncio.sleep(0.5)
        async with grpc.aio.insecure_channel(f"localhost:{target.pair.health_port}") as channel:
            checks += 1
            try:
                await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
            except grpc.aio.AioRpcError:
                refused += 1
    return f"{await holding}; {refused} of {checks} checks failed"
