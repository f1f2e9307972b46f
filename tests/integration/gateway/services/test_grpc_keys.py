"""Keys at the door of gRPC, on a real server: wrong ones wait, by the address of the peer."""

import asyncio

import grpc
import pytest

from gateway.auth import FREE_WRONG_KEYS, ApiKeys, authentication
from gateway.ratelimit import KeyRateLimit
from servicekit.errors import from_rpc
from servicekit.interceptors import error_boundary
from servicekit.server import Service
from tests.support.until import within

METHOD = "/apigpu.v1.JobService/GetJob"


async def answer(request, context):
    return b"ok"


async def serving(keys, address):
    """A server of one method, bound to an address."""
    interceptors = [error_boundary(60), authentication(keys, KeyRateLimit(0))]
    service = Service(interceptors, max_call_seconds=60)
    handlers = {"GetJob": grpc.unary_unary_rpc_method_handler(answer)}
    service.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("apigpu.v1.JobService", handlers),))
    service.listen_for_probes("127.0.0.1:0")
    port = service.server.add_insecure_port(address)
    await service.start()
    return service, port


async def ask(channel, key):
    """The reason of the error that a call ends with; "" for none."""
    try:
        await channel.unary_unary(METHOD)(b"", metadata=(("x-api-key", key),))
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name} {from_rpc(error).reason}"
    return ""


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_wrong_keys_wait_and_right_ones_do_not(host):
    service, port = await serving(ApiKeys(["right"]), f"{host}:0")
    async with grpc.aio.insecure_channel(f"{host}:{port}") as channel:
        found = [await ask(channel, "wrong") for _ in range(FREE_WRONG_KEYS + 2)]
        assert found == [
            *["UNAUTHENTICATED WRONG_KEY"] * (FREE_WRONG_KEYS + 1),
            "RESOURCE_EXHAUSTED TOO_MANY_WRONG_KEYS",
        ]
        assert await ask(channel, "right") == ""
    await service.drain(0)


async def test_calls_of_the_json_proxy_wait_for_nobody(tmp_path):
    """They have no address; their wrong keys were counted by that of the HTTP client."""
    address = f"unix:{tmp_path}/door.sock"
    service, _ = await serving(ApiKeys(["right"]), address)
    async with grpc.aio.insecure_channel(address) as channel:
        found = {await ask(channel, "wrong") for _ in range(3 * FREE_WRONG_KEYS)}
        assert found == {"UNAUTHENTICATED WRONG_KEY"}
    await service.drain(0)


async def nothing():
    """Messages that never come."""
    await asyncio.sleep(3600)
    yield b""


async def test_a_wrong_key_is_refused_before_any_message_comes():
    service, port = await serving(ApiKeys(["right"]), "127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        # To the server, calls of all kinds look alike until their messages come.
        made = channel.stream_unary(METHOD)(nothing(), metadata=(("x-api-key", "wrong"),))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await within(made)
        assert from_rpc(refused.value).reason == "WRONG_KEY"
    await service.drain(0)
