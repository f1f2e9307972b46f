"""Calls within the process behave as calls over the wire do; test_interceptors.py runs its tests over both."""

import asyncio

import grpc
import pytest

from servicekit.interceptors import error_boundary
from servicekit.local import PEER, LocalChannel, LocalServer
from tests.support.until import until, within


class Methods:
    """Methods that note what becomes of them."""

    def __init__(self):
        self.sent, self.ended, self.peer, self.seconds = 0, asyncio.Event(), "", None

    async def wait(self, request, context):
        self.peer, self.seconds = context.peer(), context.time_remaining()
        try:
            await context.send_initial_metadata((("x-early", "1"),))
            await asyncio.sleep(600)
        finally:
            self.ended.set()

    async def count(self, request, context):
        try:
            while True:
                yield self.sent
                self.sent += 1
        finally:
            self.ended.set()

    async def one(self, requests, context):
        return await anext(requests)

    async def none(self, requests, context):
        return "nothing was read"


@pytest.fixture
async def methods():
    return Methods()


@pytest.fixture
async def channel(methods):
    server = LocalServer([error_boundary(600)])
    handlers = {
        "wait": grpc.unary_unary_rpc_method_handler(methods.wait),
        "count": grpc.unary_stream_rpc_method_handler(methods.count),
        "one": grpc.stream_unary_rpc_method_handler(methods.one),
        "none": grpc.stream_unary_rpc_method_handler(methods.none),
    }
    server.add_registered_method_handlers("t.Test", handlers)
    yield LocalChannel(server)
    await server.close()
    assert not server.running


async def failed(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await within(call)
    return caught.value.code()


async def test_metadata_that_is_sent_early_is_there_before_the_answer(channel, methods):
    call = channel.unary_unary("/t.Test/wait")("x")
    assert await within(call.initial_metadata()) == (("x-early", "1"),)
    assert (methods.peer, methods.seconds) == (PEER, None)
    call.cancel()
    assert await failed(call) is grpc.StatusCode.CANCELLED
    assert methods.ended.is_set()


async def test_the_deadline_of_the_caller(channel, methods):
    call = channel.unary_unary("/t.Test/wait")("x", timeout=0.05)
    assert await failed(call) is grpc.StatusCode.DEADLINE_EXCEEDED
    assert (methods.ended.is_set(), 0 < methods.seconds <= 0.05) == (True, True)


async def test_a_caller_that_is_cancelled_ends_its_call(channel, methods):
    async def waiting():
        await channel.unary_unary("/t.Test/wait")("x")

    task = asyncio.create_task(waiting())
    await until(lambda: methods.peer)
    task.cancel()
    await within(methods.ended.wait())
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_who_does_not_read_holds_the_sender(channel, methods):
    call = channel.unary_stream("/t.Test/count")("x")
    assert [await within(call.read()) for _ in range(3)] == [0, 1, 2]
    for _ in range(100):
        await asyncio.sleep(0)
    assert methods.sent <= 5
    call.cancel()
    await within(methods.ended.wait())


async def test_requests_go_one_after_the_other(channel):
    call = channel.stream_unary("/t.Test/one")()
    await within(call.write("first"))
    assert await within(call) == "first"
    with pytest.raises(asyncio.InvalidStateError):
        await within(call.write("second"))


async def test_a_call_that_reads_nothing_holds_no_writer(channel):
    call = channel.stream_unary("/t.Test/none")()
    await within(call.write("one that the buffer takes"))
    with pytest.raises(asyncio.InvalidStateError):
        await within(call.write("more"))
    assert await within(call) == "nothing was read"
