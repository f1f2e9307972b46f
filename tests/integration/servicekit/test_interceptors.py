"""The boundary, on a real server: all four kinds of call, every way to end."""

import asyncio

import grpc
import pytest

from servicekit.errors import NotFound, from_rpc
from servicekit.interceptors import error_boundary
from servicekit.server import Service

KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
SECRET = "password=hunter2"


async def ends(request):
    if request == b"service error":
        raise NotFound("not here", reason="GONE")
    if request == b"crash":
        raise RuntimeError(SECRET)
    if request == b"slow":
        await asyncio.sleep(30)


async def first(requests):
    return await anext(aiter(requests))


async def unary_unary(request, context):
    await ends(request)
    return b"ok"


async def unary_stream(request, context):
    yield b"ok"
    await ends(request)


async def stream_unary(requests, context):
    await ends(await first(requests))
    return b"ok"


async def stream_stream(requests, context):
    yield b"ok"
    await ends(await first(requests))


@pytest.fixture
def call_seconds():
    """How long a call may take."""
    return 60


@pytest.fixture
async def channel(call_seconds):
    service = Service([error_boundary(call_seconds)], max_call_seconds=call_seconds)
    handlers = {kind: getattr(grpc, f"{kind}_rpc_method_handler")(globals()[kind]) for kind in KINDS}
    service.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.Test", handlers),))
    port = service.listen("127.0.0.1:0", grpc.local_server_credentials())
    service.listen_for_probes("127.0.0.1:0")
    await service.start()
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", grpc.local_channel_credentials()) as channel:
        yield channel
    await service.drain(0)


async def call(channel, kind, request):
    """All that came, and the error that it ended with."""
    stub = getattr(channel, kind)(f"/t.Test/{kind}")
    made = stub(iter([request]) if kind.startswith("stream") else request)
    try:
        if kind.endswith("stream"):
            return [message async for message in made], None
        return [await made], None
    except grpc.aio.AioRpcError as error:
        return [], error


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_that_goes_well_is_left_alone(channel, kind):
    assert await call(channel, kind, b"fine") == ([b"ok"], None)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_service_error_becomes_its_status_with_details(channel, kind):
    error = from_rpc((await call(channel, kind, b"service error"))[1])
    assert (type(error), error.message, error.reason) == (NotFound, "not here", "GONE")


@pytest.mark.parametrize("kind", KINDS)
async def test_text_of_an_unexpected_exception_stays_inside(channel, kind, caplog):
    error = (await call(channel, kind, b"crash"))[1]
    assert error.code() is grpc.StatusCode.INTERNAL
    assert SECRET not in error.details()
    request_id = dict(error.trailing_metadata())["x-request-id"]
    assert request_id in error.details()


@pytest.mark.parametrize("call_seconds", [0.4])
@pytest.mark.parametrize("kind", KINDS)
async def test_no_call_outlives_the_deadline_of_the_server(channel, kind):
    error = (await call(channel, kind, b"slow"))[1]
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_the_request_id_of_the_caller_is_kept(channel):
    made = channel.unary_unary("/t.Test/unary_unary")(b"fine", metadata=(("x-request-id", "mine"),))
    await made
    assert dict(await made.trailing_metadata())["x-request-id"] == "mine"
