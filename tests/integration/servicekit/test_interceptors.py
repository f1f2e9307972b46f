"""The boundary, on a real server: all four kinds of call, every way to end."""

import asyncio
import contextlib

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from apigpu.v1 import jobs_pb2
from servicekit.errors import (
    CLASSES,
    InvalidArgument,
    NotFound,
    Unimplemented,
    detail,
    from_rpc,
    rpc_status,
)
from servicekit.interceptors import error_boundary
from servicekit.local import LocalChannel, LocalServer
from servicekit.server import Service

KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
SERVICES = {"t.Test": None, "t.Parsing": jobs_pb2.GetJobRequest.FromString}
SECRET = "password=hunter2"


RAISED = {kind.__name__.encode(): kind for kind in CLASSES.values()}


async def ends(request):
    if request == b"service error":
        raise NotFound("not here", reason="GONE")
    if request == b"crash":
        raise RuntimeError(SECRET)
    if request in RAISED:
        raise RAISED[request]("no")
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


@pytest.fixture(params=["socket", "local"])
async def channel(request, call_seconds):
    """A channel to the methods below, over the wire or within this process."""
    if request.param == "socket":
        async with over_the_wire(call_seconds) as channel:
            yield channel
        return
    server = LocalServer([error_boundary(call_seconds)])
    for name, parse in SERVICES.items():
        server.add_registered_method_handlers(name, handlers(parse))
    yield LocalChannel(server)
    await server.close()


def handlers(parse=None):
    """The methods below, whose messages `parse` reads."""
    return {kind: getattr(grpc, f"{kind}_rpc_method_handler")(globals()[kind], parse) for kind in KINDS}


@contextlib.asynccontextmanager
async def over_the_wire(call_seconds):
    service = Service([error_boundary(call_seconds)], max_call_seconds=call_seconds)
    for name, parse in SERVICES.items():
        service.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers(parse)),))
    port = service.listen("127.0.0.1:0", grpc.local_server_credentials())
    service.listen_for_probes("127.0.0.1:0")
    await service.start()
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", grpc.local_channel_credentials()) as channel:
        yield channel
    await service.drain(0)


async def call(channel, kind, request, service="t.Test"):
    """All that came, and the error that it ended with; of a `request` None a stream sends nothing."""
    stub, messages = getattr(channel, kind)(f"/{service}/{kind}"), []
    made = stub() if kind.startswith("stream") else stub(request)
    try:
        if kind.startswith("stream") and request is not None:
            with contextlib.suppress(asyncio.InvalidStateError):
                await made.write(request)
                await made.done_writing()
        if not kind.endswith("stream"):
            return [await made], None
        while (message := await made.read()) is not grpc.aio.EOF:
            messages.append(message)
    except grpc.aio.AioRpcError as error:
        return [], error
    return messages, None


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


@pytest.mark.parametrize("raised", sorted(RAISED), ids=bytes.decode)
async def test_every_kind_of_error_has_a_reason_and_tells_when_to_try_again_if_that_helps(channel, raised):
    status = rpc_status((await call(channel, "unary_unary", raised))[1])
    info, retry = detail(status, error_details_pb2.ErrorInfo), detail(status, error_details_pb2.RetryInfo)
    assert (info.reason, info.domain) == (RAISED[raised].code.name, "api-gpu")
    assert (retry is not None) == (info.reason in ("UNAVAILABLE", "RESOURCE_EXHAUSTED"))
    assert retry is None or retry.retry_delay.ToMilliseconds() > 0


@pytest.mark.parametrize("kind", KINDS)
async def test_a_method_that_does_not_exist(channel, kind):
    # A stream that is ended before its first message is on its way is told as INTERNAL by gRPC's client itself.
    request = None if kind.startswith("stream") else b"x"
    error = from_rpc((await call(channel, kind, request, "t.Nothing"))[1])
    assert (type(error), error.reason) == (Unimplemented, "NO_SUCH_METHOD")


@pytest.mark.parametrize("kind", ["unary_unary", "stream_unary", "unary_stream", "stream_stream"])
async def test_a_message_that_cannot_be_parsed_is_the_callers_fault(channel, kind):
    error = from_rpc((await call(channel, kind, b"\xff\xff", "t.Parsing"))[1])
    assert (type(error), error.reason) == (InvalidArgument, "BAD_MESSAGE")


async def test_a_health_check_of_a_service_that_does_not_exist():
    async with over_the_wire(60) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(service="t.Nothing"))
    assert (caught.value.code(), from_rpc(caught.value).reason) == (grpc.StatusCode.NOT_FOUND, "NO_SUCH_SERVICE")
