"""HTTP requests as calls of the gateway's own gRPC: finds the route, makes the message, sends the answer."""

from typing import Any

import grpc
from google.protobuf.message import Message
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.auth.keys import given_key
from gateway.rest import headers as http_headers
from gateway.rest import transcode
from gateway.rest.middleware import request_id_of
from gateway.rest.prefer import Submission, wants_async
from gateway.rest.protojson.encode import dumps
from gateway.rest.protojson.fields import is_bytes
from gateway.rest.request import RequestBody, while_connected
from gateway.rest.routes import Route, RouteTable
from gateway.rest.settings import RestSettings
from gateway.rest.streams import send_file, send_messages
from gateway.rest.uploads import header_message, upload

JSON = "application/json"


class Proxy:
    """The ASGI application of all routes of the table."""

    def __init__(self, channel: grpc.aio.Channel, table: RouteTable, settings: RestSettings) -> None:
        self._channel = channel
        self._table = table
        self._settings = settings
        self._submission = Submission(table)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI. Raises ServiceError, AioRpcError and ClientGone for the boundary to answer."""
        inbound = self._inbound(scope, receive, send)
        if inbound.route.body:
            # The gateway checks the key; but without any, no body is worth to be read and parsed.
            given_key(inbound.route.rpc_path, {key: value for key, value in inbound.metadata if isinstance(value, str)})
        if inbound.route.method.client_streaming:
            await self._upload(inbound)
        elif inbound.route.method.server_streaming:
            await while_connected(receive, self._stream(inbound))
        else:
            await self._unary(inbound)

    def _inbound(self, scope: Scope, receive: Receive, send: Send) -> RequestBody:
        headers, settings = Headers(scope=scope), self._settings
        route, variables = self._table.find(scope["method"], scope["raw_path"].decode("latin-1"))
        base_url = settings.public_url or http_headers.base_url(headers, scope["scheme"], scope.get("server"))
        return RequestBody(
            route=route,
            variables=variables,
            query=transcode.parse_query(scope["query_string"]),
            headers=headers,
            metadata=http_headers.request_metadata(headers, request_id_of(scope), base_url.rstrip("/")),
            timeout_seconds=http_headers.timeout_seconds(headers),
            is_head=scope["method"] == "HEAD",
            receive=receive,
            send=send,
            idle_seconds=settings.body_idle_seconds,
            stall_seconds=settings.stall_seconds,
        )

    async def _message(self, inbound: RequestBody) -> Message:
        body = b""
        if inbound.route.body:
            inbound.check_encoding()
            body = await inbound.read(self._settings.max_body_bytes)
        return transcode.request_message(inbound.route, inbound.variables, inbound.query, body)

    async def _unary(self, inbound: RequestBody) -> None:
        # Nobody watches the client meanwhile: the call, and the job that it makes, go on without it.
        message = await self._message(inbound)
        if wants_async(inbound.headers) and self._submission.takes(message.DESCRIPTOR):
            await self._submit(inbound, message)
            return
        call = self._call(inbound.route, inbound, message)
        await _answer(call, inbound.route, inbound, await call)

    async def _submit(self, inbound: RequestBody, message: Message) -> None:
        route = self._submission.route
        call = self._call(route, inbound, self._submission.wrap(message))
        response = await call
        await _answer(call, route, inbound, response, 202, self._submission.headers(response))

    async def _stream(self, inbound: RequestBody) -> None:
        message = await self._message(inbound)
        call = self._call(inbound.route, inbound, message)
        try:
            if is_bytes(inbound.route.response_field):
                await send_file(call, inbound, message)
            else:
                await send_messages(call, inbound, self._settings.sse_ping_seconds)
        finally:
            call.cancel()

    async def _upload(self, inbound: RequestBody) -> None:
        inbound.check_encoding()
        header = header_message(inbound)
        call = self._call(inbound.route, inbound)
        await _answer(call, inbound.route, inbound, await upload(call, inbound, header))

    def _call(self, route: Route, inbound: RequestBody, *request: Message) -> Any:
        kinds = (
            "stream" if streams else "unary"
            for streams in (route.method.client_streaming, route.method.server_streaming)
        )
        make: Any = getattr(self._channel, "_".join(kinds))
        method = make(
            route.rpc_path,
            request_serializer=route.request_class.SerializeToString,
            response_deserializer=route.response_class.FromString,
        )
        return method(*request, metadata=inbound.metadata, timeout=inbound.timeout_seconds)


async def _answer(
    call: Any,
    route: Route,
    inbound: RequestBody,
    message: Message,
    status: int = 200,
    headers: list[tuple[str, str]] | None = None,
) -> None:
    initial, trailing = await call.initial_metadata(), await call.trailing_metadata()
    status = http_headers.http_override(initial, trailing) or status
    response = Response(dumps(transcode.response_json(route, message)), status, media_type=JSON)
    for name, value in (*http_headers.response_headers(initial, trailing), *(headers or ())):
        response.headers.append(name, value)
    await response({"type": "http"}, inbound.receive, inbound.send)
