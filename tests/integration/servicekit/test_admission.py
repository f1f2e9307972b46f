"""Calls that only begin: they hold up nobody, and end."""

import asyncio
import contextlib

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from servicekit.admission import CallClass, admission
from servicekit.concurrency import ConcurrencyLimit
from servicekit.errors import from_rpc
from servicekit.interceptors import error_boundary
from servicekit.server import Service
from tests.support.until import until, within

MANY = 1000
SERVING = health_pb2.HealthCheckResponse.SERVING


async def echo(request, context):
    return request.service.encode()


async def echo_all(requests, context):
    return b"".join([request.service.encode() async for request in requests])


@contextlib.asynccontextmanager
async def serving(call_class):
    """Yield a channel to a service of two methods of one class, and one to its probes."""
    service = Service([error_boundary(60), admission(lambda method, context: (call_class, "anybody"))], 60)
    parse = health_pb2.HealthCheckRequest.FromString
    handlers = {
        "Echo": grpc.unary_unary_rpc_method_handler(echo, request_deserializer=parse),
        "EchoAll": grpc.stream_unary_rpc_method_handler(echo_all, request_deserializer=parse),
    }
    service.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.Test", handlers),))
    port = service.listen("127.0.0.1:0", grpc.local_server_credentials())
    probes = service.listen_for_probes("127.0.0.1:0")
    await service.start()
    async with (
        grpc.aio.secure_channel(f"127.0.0.1:{port}", grpc.local_channel_credentials()) as channel,
        grpc.aio.insecure_channel(f"127.0.0.1:{probes}") as probing,
    ):
        yield channel, probing
    await service.drain(0)


def request(text):
    return health_pb2.HealthCheckRequest(service=text).SerializeToString()


async def failed(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc(caught.value)


@pytest.mark.parametrize("method", ["Echo", "EchoAll"])
async def test_a_thousand_calls_without_a_message_hold_up_nobody(method):
    call_class = CallClass(ConcurrencyLimit(64, "calls"), 3600)
    async with serving(call_class) as (channel, _):
        stalled = [channel.stream_unary(f"/t.Test/{method}")() for _ in range(MANY)]
        await until(lambda: sum(call.done() for call in stalled) >= MANY - 64)
        for _ in range(10):
            assert await within(channel.unary_unary("/t.Test/Echo")(request("honest"))) == b"honest"
        error = await failed(stalled[0])
        assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "EVICTED")
        for call in stalled:
            call.cancel()
        await until(lambda: call_class.limit.free == 64)


async def test_calls_at_work_do_not_give_way():
    call_class = CallClass(ConcurrencyLimit(1, "calls"), 3600, 3600)
    async with serving(call_class) as (channel, _):
        call = channel.stream_unary("/t.Test/EchoAll")()
        await until(lambda: call_class.limit.free == 0)
        assert await channel.unary_unary("/t.Test/Echo")(request("honest")) == b"honest"
        assert (await failed(call)).reason == "EVICTED"


async def test_the_first_message_has_a_deadline():
    async with serving(CallClass(ConcurrencyLimit(8, "calls"), 0.05)) as (channel, _):
        for method in ("Echo", "EchoAll"):
            error = await within(failed(channel.stream_unary(f"/t.Test/{method}")()))
            assert (error.code, error.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "TOO_LATE")
            assert "0.05 s" in error.message


async def test_each_further_message_has_one():
    async with serving(CallClass(ConcurrencyLimit(8, "calls"), 3600, 0.05)) as (channel, _):
        call = channel.stream_unary("/t.Test/EchoAll")()
        await call.write(request("first"))
        error = await within(failed(call))
        assert error.reason == "TOO_LATE"


async def test_messages_in_time_have_no_end():
    async with serving(CallClass(ConcurrencyLimit(8, "calls"), 30, 30)) as (channel, _):
        assert await channel.stream_unary("/t.Test/EchoAll")(iter([request(str(n)) for n in range(9)])) == b"012345678"


async def test_bytes_that_are_no_message(caplog):
    async with serving(CallClass(ConcurrencyLimit(8, "calls"))) as (channel, _):
        error = await failed(channel.unary_unary("/t.Test/Echo")(b"\xff\xff\xff"))
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_MESSAGE")
        call = channel.stream_unary("/t.Test/Echo")()
        await call.done_writing()
        assert (await failed(call)).reason == "NO_MESSAGE"
    assert "Traceback" not in caplog.text


async def test_watches_do_not_keep_checks_out():
    async with serving(CallClass(ConcurrencyLimit(8, "calls"))) as (_, probing):
        stub = health_pb2_grpc.HealthStub(probing)
        watches = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(MANY)]
        stalled = [probing.stream_unary("/grpc.health.v1.Health/Check")() for _ in range(MANY)]
        await until(lambda: sum(call.done() for call in stalled) > MANY // 2)
        assert (await within(stub.Check(health_pb2.HealthCheckRequest()))).status == SERVING
        latest = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await within(latest.read())).status == SERVING
        assert (await within(watches[-1].read())).status == SERVING
        for call in (*watches, *stalled, latest):
            call.cancel()


async def test_a_call_that_its_client_cancels_leaves_no_slot():
    call_class = CallClass(ConcurrencyLimit(8, "calls"), 3600)
    async with serving(call_class) as (channel, _):
        call = channel.stream_unary("/t.Test/Echo")()
        await until(lambda: call_class.limit.free == 7)
        call.cancel()
        await until(lambda: call_class.limit.free == 8)
        with pytest.raises(asyncio.CancelledError):
            await call
