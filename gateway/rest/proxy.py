"""HTTP requests as calls of the gateway's own gRPC: find the route, build the message, respond with the result."""

import asyncio
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from apigpu.v1 import assets_pb2, jobs_pb2
from gateway.auth import ApiKeys
from gateway.jobs import operation
from gateway.rest import headers as http_headers
from gateway.rest import tables
from gateway.rest.bodies import Bodies
from gateway.rest.legacy import paths
from gateway.rest.prefer import WAIT_FIELD, Preferences
from gateway.rest.protojson.decode import is_bytes
from gateway.rest.protojson.encode import dumps
from gateway.rest.request import RoutedRequest, client_of, parse_query, while_connected
from gateway.rest.responses import JsonBody, send_json
from gateway.rest.routes import GET_ASSET, GET_JOB, OPERATIONS, SUBMIT_JOB, Route, RouteTable
from gateway.rest.streams import (
    UploadBody,
    asks_for_part,
    send_file,
    send_messages,
    send_part,
    set_last_event,
    upload,
)
from servicekit.chunk_messages import encoder
from servicekit.chunks import MAX_MESSAGE_BYTES
from servicekit.errors import NotFound
from servicekit.local import LocalChannel
from servicekit.tasks import cancel_and_wait

# The header that says which preferences were followed (RFC 7240).
APPLIED = "preference-applied"


@dataclass(frozen=True)
class RestSettings:
    """Settings of the JSON surface.

    `public_url` is scheme and host as clients know them, for links; without it they come from each request.
    `max_body_bytes` limits JSON bodies, as it does messages of gRPC; files have no limit here. A body that stalls for
    `body_idle_seconds` ends its request. A client that stalls in a download for `stall_seconds` loses its slot.
    A stream that is silent for `ping_seconds` is kept open.
    """

    cors_allow_origins: Sequence[str] = ("*",)
    max_body_bytes: int = MAX_MESSAGE_BYTES
    public_url: str | None = None
    body_idle_seconds: float = 60.0
    stall_seconds: float = 120.0
    ping_seconds: float = 15.0


@dataclass(frozen=True)
class Proxy:
    """The ASGI application of all routes of the table; `channel` leads to the gateway's own services."""

    channel: grpc.aio.Channel | LocalChannel
    keys: ApiKeys
    table: RouteTable
    settings: RestSettings
    bodies: Bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request. Raises ServiceError, AioRpcError and ClientGone."""
        request = self._route(scope, receive, send)
        self.admit(request.route.rpc_path, request.metadata, request.network)
        if request.route.method.client_streaming:
            await self._upload(request)
        elif request.route.method.server_streaming:
            await while_connected(receive, self._stream(request))
        else:
            await self._unary(request)

    def admit(self, rpc_path: str, metadata: Sequence[http_headers.Pair], network: str) -> None:
        """Judge the key of a request. gRPC does it again; but nothing of a body is read, and nothing parsed, for a key
        that is not right. Raises ServiceError."""
        self.keys.admit(rpc_path, {key: value for key, value in metadata if isinstance(value, str)}, network)

    def base_url(self, scope: Scope, headers: Headers) -> str:
        """Return scheme and host as the client of a request knows them."""
        given = self.settings.public_url or http_headers.base_url(headers, scope["scheme"], scope.get("server"))
        return given.rstrip("/")

    def _route(self, scope: Scope, receive: Receive, send: Send) -> RoutedRequest:
        headers, settings = Headers(scope=scope), self.settings
        base_url = self.base_url(scope, headers)
        route, variables, is_legacy = self._find(scope["method"], scope["raw_path"].decode("latin-1"))
        return RoutedRequest(
            route=route,
            variables=variables,
            query=parse_query(scope["query_string"]),
            headers=headers,
            metadata=http_headers.request_metadata(headers, scope["state"]["request_id"], base_url),
            timeout_seconds=http_headers.timeout_seconds(headers),
            network=client_of(scope),
            is_head=scope["method"] == "HEAD",
            receive=receive,
            send=send,
            idle_seconds=settings.body_idle_seconds,
            stall_seconds=settings.stall_seconds,
            is_legacy=is_legacy,
        )

    def _find(self, http_method: str, path: str) -> tuple[Route, dict[str, str], bool]:
        """Return the route, its variables, and whether it is of the older API. Raises NotFound, MethodNotAllowed."""
        try:
            return *self.table.find(http_method, path), False
        except NotFound:
            legacy = paths.find(http_method, path)
            if legacy is None:
                raise
            return legacy, {}, True

    async def _unary(self, request: RoutedRequest) -> None:
        # The client's connection is not watched meanwhile: the call, and the job that it makes, go on without it.
        message, preferences = await request.message(self.bodies), Preferences.parse(request.headers)
        if request.is_legacy and preferences == Preferences():
            preferences = Preferences(respond_async=True)
        if message.DESCRIPTOR.full_name in OPERATIONS and request.options.dry_run:
            await self._quote(request, message)
            return
        if message.DESCRIPTOR.full_name in OPERATIONS and preferences != Preferences():
            await self._operation(request, message, preferences)
            return
        applied = []
        if WAIT_FIELD in message.DESCRIPTOR.fields_by_name and preferences.wait_seconds is not None:
            setattr(message, WAIT_FIELD, preferences.wait_seconds)
            applied.append((APPLIED, preferences.applied_wait))
        call = self._call(request.route, request, message)
        if tables.wants_csv(request.route, message, request.headers):
            await _respond_table(call, request.route, request, await call)
            return
        await _respond(call, request.route, request, await call, headers=applied)

    async def _quote(self, request: RoutedRequest, message: Message) -> None:
        """Respond with what a job would do: the same job that SubmitJob answers a dry run with."""
        route = self.table.first(SUBMIT_JOB)
        call = self._call(route, request, jobs_pb2.SubmitJobRequest(operation=operation.wrap(message)))
        await _respond(call, route, request, await call)

    async def _operation(self, request: RoutedRequest, message: Message, preferences: Preferences) -> None:
        """Respond with the result if it is there in time, else with the job; it goes on either way."""
        if not preferences.wait_seconds:
            route = self.table.first(SUBMIT_JOB)
            call = self._call(route, request, jobs_pb2.SubmitJobRequest(operation=operation.wrap(message)))
            await self._accepted(request, call, route, (await call).job.id, preferences)
            return
        call = self._call(request.route, request, message)
        answering = asyncio.ensure_future(call)
        try:
            await asyncio.wait({answering}, timeout=preferences.wait_seconds)
            job_id = None if answering.done() else dict(await call.initial_metadata() or ()).get(http_headers.JOB_ID)
            if job_id is None:
                applied = [(APPLIED, preferences.applied_wait)]
                await _respond(call, request.route, request, await answering, headers=applied)
                return
        finally:
            call.cancel()
            await cancel_and_wait(answering)
        route = self.table.first(GET_JOB)
        call = self._call(route, request, jobs_pb2.GetJobRequest(id=job_id))
        await self._accepted(request, call, route, job_id, preferences)

    async def _accepted(
        self, request: RoutedRequest, call: Any, route: Route, job_id: str, preferences: Preferences
    ) -> None:
        location = self.table.first(GET_JOB).template.expand({"id": job_id})
        headers = [("location", location), (APPLIED, preferences.applied)]
        await _respond(call, route, request, await call, 202, headers)

    async def _stream(self, request: RoutedRequest) -> None:
        message = await request.message(self.bodies)
        open_call = functools.partial(self._call, request.route, request)
        name = getattr(message, "name", "")
        if is_bytes(request.route.response_field) and asks_for_part(request, message):
            file = await self._call(self.table.first(GET_ASSET), request, assets_pb2.GetAssetRequest(name=name))
            await send_part(open_call, request, message, file.asset)
            return
        set_last_event(request, message)
        call = open_call(message)
        try:
            if is_bytes(request.route.response_field):
                await send_file(call, request, message)
            else:
                await send_messages(call, request, self.settings.ping_seconds)
        finally:
            call.cancel()

    async def _upload(self, request: RoutedRequest) -> None:
        request.check_encoding()
        body = await UploadBody.open(request)
        call = self._call(request.route, request)
        await _respond(call, request.route, request, await upload(call, request, body))

    def _call(self, route: Route, request: RoutedRequest, *messages: Message) -> Any:
        kinds = (
            "stream" if streams else "unary"
            for streams in (route.method.client_streaming, route.method.server_streaming)
        )
        make_callable: Any = getattr(self.channel, "_".join(kinds))
        method = make_callable(
            route.rpc_path,
            request_serializer=encoder(route.request_class.SerializeToString),
            response_deserializer=route.response_class.FromString,
        )
        return method(*messages, metadata=request.call_metadata, timeout=request.timeout_seconds)


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
    answer = route.response_json(message)
    if request.is_legacy and status == 202:
        answer = paths.accepted(answer)
    body = JsonBody(dumps(request.notes.add_to(answer)))
    headers = [*http_headers.response_headers(initial, trailing), *headers]
    is_tagged = status == 200 and route.http_method == "GET"
    await send_json(body, request.headers, request.send, status, headers, is_tagged=is_tagged)


async def _respond_table(call: Any, route: Route, request: RoutedRequest, message: Message) -> None:
    headers = http_headers.response_headers(await call.initial_metadata(), await call.trailing_metadata())
    body = JsonBody(tables.to_csv(message, tables.table_field(route)))
    kind = f"{tables.CSV}; charset=utf-8; header=present"
    await send_json(body, request.headers, request.send, 200, headers, is_tagged=True, media_type=kind)
