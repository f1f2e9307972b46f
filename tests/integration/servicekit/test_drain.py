"""How a service ends."""

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from servicekit.interceptors import error_boundary
from servicekit.server import Service
from servicekit.tasks import run_to_completion
from tests.support.until import within

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def started(folder, handlers=None):
    """A service with these handlers of "test.Test", and its address."""
    service = Service([error_boundary(60)], max_call_seconds=60)
    service.server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Test", handlers or {})])
    service.listen(address := f"unix:{folder}/service.sock", None)
    service.listen_for_probes("127.0.0.1:0")
    await service.start()
    return service, address


@pytest.mark.parametrize("told_before", [False, True])
async def test_a_watch_on_its_health_hears_of_the_end_and_does_not_hold_it_up(tmp_path, told_before):
    service, address = await started(tmp_path)
    async with grpc.aio.insecure_channel(address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        if told_before:
            await service.report_not_serving()
            assert (await watch.read()).status == NOT_SERVING
        async with asyncio.timeout(60):  # the watch would hold it up for the whole hour
            await service.drain(3600)
        if not told_before:
            assert (await watch.read()).status == NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await watch.read()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_call_that_is_cancelled_has_let_go_of_what_it_holds_before_the_end(tmp_path):
    begun, cleaned = asyncio.Event(), []

    async def hang(request, context):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await run_to_completion(asyncio.sleep(0.3))
            cleaned.append(True)

    service, address = await started(tmp_path, {"Hang": grpc.unary_unary_rpc_method_handler(hang)})
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary("/test.Test/Hang")(b"")
        await within(begun.wait())
        await service.drain(0)
        assert cleaned == [True]
        call.cancel()


async def test_a_call_stays_open_for_its_last_messages_to_be_read(tmp_path):
    drained = []

    async def stream(request, context):
        drained.append(asyncio.ensure_future(service.drain(1, linger_seconds=3600)))
        await asyncio.sleep(0)
        await context.write(b"last")

    service, address = await started(tmp_path, {"Stream": grpc.unary_stream_rpc_method_handler(stream)})
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_stream("/test.Test/Stream")(b"")
        assert await within(call.read()) == b"last"
        await asyncio.sleep(0.2)
        assert not call.done()
        assert await within(call.read()) is grpc.aio.EOF
        await within(drained[0])


async def test_calls_that_come_while_it_stops_and_those_that_it_ends_are_unavailable(tmp_path):
    async def answer(request, context):
        await asyncio.sleep(0.01)
        return b""

    async def hang(request, context):
        await asyncio.Event().wait()

    handlers = {
        "Answer": grpc.unary_unary_rpc_method_handler(answer),
        "Hang": grpc.unary_unary_rpc_method_handler(hang),
    }
    service, address = await started(tmp_path, handlers)
    codes = set()

    async def call(channel, method):
        while grpc.StatusCode.UNAVAILABLE not in codes:
            try:
                await channel.unary_unary(f"/test.Test/{method}")(b"")
            except grpc.aio.AioRpcError as error:
                codes.add(error.code())
                return

    async with grpc.aio.insecure_channel(address) as channel:
        calls = [asyncio.create_task(call(channel, method)) for method in (*["Answer"] * 16, *["Hang"] * 4)]
        await asyncio.sleep(0.1)
        await service.drain(0.5)
        await within(asyncio.gather(*calls))
    assert codes == {grpc.StatusCode.UNAVAILABLE}
