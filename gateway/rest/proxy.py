"""HTTP requests as calls of the gateway's own gRPC: find the route, build the message, respond with the result."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from apigpu.v1 import jobs_pb2
from gateway.auth import ApiKeys
from gateway.jobs import operation
from gateway.rest import headers as http_headers
from gateway.rest.bodies import Bodies
from gateway.rest.protojson.decode import is_bytes
from gateway.rest.protojson.encode import dumps
from gateway.rest.request import RoutedRequest, client_of, parse_query, while_connected
from gateway.rest.routes import GET_JOB, OPERATIONS, SUBMIT_JOB, Route, RouteTable
from gateway.rest.streams import header_message, send_file, send_messages, upload
from servicekit.chunks import MAX_MESSAGE_BYTES

JSON = "application/json"
# With `Prefer: respond-async` (RFC 7240) the operation of a POST is queued by SubmitJob and answered with its job.
RESPOND_ASYNC = "respond-async"


@dataclass(frozen=True)
class RestSettings:
    """Settings of the JSON surface.

    `public_url` is scheme and host as clients know them, for links; without it they come from each request.
    `max_body_bytes` limits JSON bodies, as it does messages of gRPC; files have no limit here. A body that stalls for
    `body_idle_seconds` ends its request. A client that stalls in a download for `stall_seconds` loses its slot.
    """

    cors_allow_origins: Sequence[str] = ("*",)
    max_body_bytes: int = MAX_MESSAGE_BYTES
    public_url: str | None = None
    body_idle_seconds: float = 60.0
    stall_seconds: float = 120.0
    sse_ping_seconds: float = 15.0


@dataclass(frozen=True)
class Proxy:
    """The ASGI application of all routes of the table; `channel` leads to the gateway's own gRPC."""

    channel: grpc.aio.Channel
    keys: ApiKeys
    table: RouteTable
    settings: RestSettings
    bodies: Bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request. Raises ServiceError, AioRpcError and ClientGone."""
        request = self._route(scope, receive, send)
        # gRPC judges it again; but nothing of a body is read, and nothing parsed, for a key that is not right.
        texts = {key: value for key, value in request.metadata if isinstance(value, str)}
        self.keys.admit(request.route.rpc_path, texts, request.network)
        if request.route.method.client_streaming:
            await self._upload(request)
        elif request.route.method.server_streaming:
            await while_connected(receive, self._stream(request))
        else:
            await self._unary(request)

    def _route(self, scope: Scope, receive: Receive, send: Send) -> RoutedRequest:
        headers, settings = Headers(scope=scope), self.settings
        route, variables = self.table.find(scope["method"], scope["raw_path"].decode("latin-1"))
        base_url = settings.public_url or http_headers.base_url(headers, scope["scheme"], scope.get("server"))
        return RoutedRequest(
            route=route,
            variables=variables,
            query=parse_query(scope["query_string"]),
            headers=headers,
            metadata=http_headers.request_metadata(headers, scope["state"]["request_id"], base_url.rstrip("/")),
            timeout_seconds=http_headers.timeout_seconds(headers),
            network=client_of(scope),
            is_head=scope["method"] == "HEAD",
            receive=receive,
            send=send,
            idle_seconds=settings.body_idle_seconds,
            stall_seconds=settings.stall_seconds,
        )

    async def _unary(self, request: RoutedRequest) -> None:
        # The client's connection is not watched meanwhile: the call, and the job that it makes, go on without it.
        message = await request.message(self.bodies)
        if message.DESCRIPTOR.full_name in OPERATIONS and _prefers_async(request.headers):
            await self._submit(request, message)
            return
        call = self._call(request.route, request, message)
        await _respond(call, request.route, request, await call)

    async def _submit(self, request: RoutedRequest, message: Message) -> None:
        route = self.table.first(SUBMIT_JOB)
        call = self._call(route, request, jobs_pb2.SubmitJobRequest(operation=operation.wrap(message)))
        response = await call
        location = self.table.first(GET_JOB).template.expand({"id": response.job.id})
        headers = [("location", location), ("preference-applied", RESPOND_ASYNC)]
        await _respond(call, route, request, response, 202, headers)

    async def _stream(self, request: RoutedRequest) -> None:
        message = await request.message(self.bodies)
        call = self._call(request.route, request, message)
        try:
            if is_bytes(request.route.response_field):
                await send_file(call, request, message)
            else:
                await send_messages(call, request, self.settings.sse_ping_seconds)
        finally:
            call.cancel()

    async def _upload(self, request: RoutedRequest) -> None:
        request.check_encoding()
        header = header_message(request)
        call = self._call(request.route, request)
        await _respond(call, request.route, request, await upload(call, request, header))

    def _call(self, route: Route, request: RoutedRequest, *messages: Message) -> Any:
        kinds = (
            "stream" if streams else "unary"
            for streams in (route.method.client_streaming, route.method.server_streaming)
        )
        make_callable: Any = getattr(self.channel, "_".join(kinds))
        method = make_callable(
            route.rpc_path,
            request_serializer=route.request_class.SerializeToString,
            response_deserializer=route.response_class.FromString,
        )
        return method(*messages, metadata=request.metadata, timeout=request.timeout_seconds)


def _prefers_async(headers: Headers) -> bool:
    preferences = ",".join(headers.getlist("prefer")).lower().split(",")
    return any(preference.split(";")[0].strip() == RESPOND_ASYNC for preference in preferences)


async def _respond(
    call: Any,
    route: Route,
    request: RoutedRequest,
    message: Message,
    status: int = 200,
    headers: Sequence[tuple[str, str]] = (),
) -> None:
    initial, trailing = await call.initial_metadata(), await call.trailing_metadata()
    status = http_headers.http_override(initial, trailing) or status
    response = Response(dumps(route.response_json(message)), status, media_type=JSON)
    for name, value in (*http_headers.response_headers(initial, trailing), *headers):
        response.headers.append(name, value)
    await response({"type": "http"}, request.receive, request.send)
