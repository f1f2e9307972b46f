"""The service of rules.proto, which answers with what it is asked, and the JSON surface in front of it."""

import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import google.api
import grpc
import httpx
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from grpc_tools import protoc
from starlette.applications import Starlette
from starlette.middleware import Middleware

from gateway.auth import ApiKeys
from gateway.rest.bodies import Bodies
from gateway.rest.middleware import ErrorBoundary
from gateway.rest.proxy import Proxy, RestSettings
from gateway.rest.routes import RouteTable
from gateway.rest.server import AnyPath, HttpServer

FILE = Path(__file__).with_name("rules.proto")
SERVICE = "transcoding.v1.RuleService"


@cache
def descriptor_set() -> bytes:
    """Return the compiled proto with all that it imports."""
    includes = [FILE.parent, Path(google.api.__path__[0]).parent.parent, Path(protoc.__file__).parent / "_proto"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set.binpb"
        paths = [f"--proto_path={path}" for path in includes]
        assert protoc.main(["protoc", *paths, "--include_imports", f"--descriptor_set_out={out}", FILE.name]) == 0
        return out.read_bytes()


@cache
def service() -> Any:
    """Return the descriptor of the service."""
    pool = descriptor_pool.Default()
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptor_set()).file:
        try:
            pool.FindFileByName(file.name)
        except KeyError:
            pool.Add(file)
    return pool.FindServiceByName(SERVICE)


@cache
def everything() -> type[Message]:
    """Return the class of all requests and responses."""
    return message_factory.GetMessageClass(service().methods_by_name["Query"].input_type)


@dataclass
class Echo(grpc.GenericRpcHandler):
    """Answers each call with its request, a stream with two; `calls` has the requests."""

    calls: list[bytes] = field(default_factory=list)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        if handler_call_details.method == f"/{SERVICE}/Stream":
            return grpc.unary_stream_rpc_method_handler(self._stream)
        return grpc.unary_unary_rpc_method_handler(self._unary)

    async def _unary(self, request: bytes, _: Any) -> bytes:
        self.calls.append(request)
        return request

    async def _stream(self, request: bytes, _: Any) -> AsyncIterator[bytes]:
        self.calls.append(request)
        yield request
        yield request


@contextlib.asynccontextmanager
async def echoing() -> AsyncIterator[tuple[Echo, str]]:
    """Serve the echo on a port; yield it and its address."""
    echo, server = Echo(), grpc.aio.server()
    server.add_generic_rpc_handlers((echo,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield echo, f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@contextlib.asynccontextmanager
async def proxied(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the JSON surface of the service at the address; yield a client of it."""
    async with grpc.aio.insecure_channel(address) as channel:
        proxy = Proxy(channel, ApiKeys([], admin_keys=["k"]), RouteTable([service()]), RestSettings(), Bodies())
        app = Starlette(routes=[AnyPath("/", proxy)], middleware=[Middleware(ErrorBoundary)])
        server = HttpServer(app, "127.0.0.1", 0)
        port = await server.start()
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers={"x-api-key": "k"}) as client:
                yield client
        finally:
            await server.drain(0)
