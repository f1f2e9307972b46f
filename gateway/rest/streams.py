"""Streams of RPCs over HTTP: messages as NDJSON or server-sent events, files as bytes.

An upload is a client stream of header, chunks and finish. The request's oneof must have, beside the bytes field, the
messages `header` (filename, size_bytes, sha256) and `finish` (size_bytes). The method must send ACCEPTED once it has
checked the header, and computes the digest itself.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from google.protobuf.message import Message
from starlette.types import Send

from gateway.rest.digests import announced_sha256
from gateway.rest.files import FILE_CSP, OCTETS, disposition, media_type
from gateway.rest.headers import http_override, response_headers
from gateway.rest.protojson.encode import dumps
from gateway.rest.request import RoutedRequest, end_response, receive_body, send_body, start_response
from gateway.rest.rules import FINISH, HEADER
from gateway.rest.status import from_call
from servicekit.chunks import ACCEPTED, rechunk
from servicekit.errors import InvalidArgument
from servicekit.tasks import cancel_and_wait

log = structlog.get_logger("gateway.rest")

Call = grpc.aio.UnaryStreamCall[Any, Any]
UploadCall = grpc.aio.StreamUnaryCall[Any, Any]
HeaderList = list[tuple[str, str]]


@dataclass(frozen=True)
class Framing:
    """Format of messages in a streamed body; `ping` keeps idle connections open in formats that have comments."""

    media_type: str
    before_result: bytes = b""
    before_failure: bytes = b""
    after: bytes = b"\n"
    ping: bytes = b""


NDJSON = Framing("application/x-ndjson")
EVENTS = Framing("text/event-stream", b"data: ", b"event: error\ndata: ", b"\n\n", b": ping\n\n")


def choose_framing(accept: str) -> Framing:
    """Return the framing for an Accept header: NDJSON unless it names server-sent events."""
    return EVENTS if EVENTS.media_type in accept.lower() else NDJSON


async def send_messages(call: Call, request: RoutedRequest, ping_seconds: float) -> None:
    """Respond with the messages of the call.

    Raises AioRpcError for a call that fails before its first message; later, its Status becomes the last line.
    """
    framing = choose_framing(request.headers.get("accept", ""))
    message: Any = await call.read()
    await _start(call, request.send, [("content-type", framing.media_type), ("x-accel-buffering", "no")])
    try:
        while message is not grpc.aio.EOF and not request.is_head:
            text = dumps({"result": request.route.response_json(message)})
            await send_body(request.send, framing.before_result + text + framing.after)
            message = await _next(call, request.send, framing.ping, ping_seconds)
    except grpc.aio.AioRpcError as error:
        text = dumps({"error": from_call(error).line()})
        await send_body(request.send, framing.before_failure + text + framing.after)
    await end_response(request.send)


async def _next(call: Call, send: Send, ping: bytes, ping_seconds: float) -> Any:
    """Return the next message; send comments while there is none."""
    reading = asyncio.ensure_future(call.read())
    try:
        while not (await asyncio.wait({reading}, timeout=ping_seconds if ping else None))[0]:
            await send_body(send, ping)
        return await reading
    finally:
        if not reading.done():
            await cancel_and_wait(reading)


async def send_file(call: Call, request: RoutedRequest, message: Message) -> None:
    """Respond with the bytes field of the call's messages, untouched; `message` is the call's request.

    A first message with filename, content_type, size_bytes and sha256 gives the headers. A call that fails in mid-file
    breaks the connection. Raises ClientGone if the client stalls.
    """
    field, description = request.route.response_body, None
    part: Any = await call.read()
    if part is not grpc.aio.EOF and (name := _description_field(part, field)):
        description = getattr(part, name)
        part = await call.read()
    headers = _file_headers(description, getattr(message, "offset", 0))
    await _start(call, request.send, headers)
    remaining = int(dict(headers).get("content-length", 0)) if description is not None else None
    if not request.is_head:
        try:
            async for data in _chunks(call, part, field):
                remaining = None if remaining is None else remaining - len(data)
                if data:
                    await send_body(request.send, data, request.stall_seconds)
        except grpc.aio.AioRpcError as error:
            log.warning("download broke off", code=error.code().name, error=error.details())
            return
        if remaining:
            log.warning("download ended early", bytes_missing=remaining)
            return
    await end_response(request.send)


async def _chunks(call: Call, message: Any, field: str) -> AsyncIterator[bytes]:
    while message is not grpc.aio.EOF:
        yield getattr(message, field)
        message = await call.read()


def _description_field(message: Message, bytes_field: str) -> str | None:
    """Return the field that is set in place of the bytes; None if the message has bytes."""
    oneof = message.DESCRIPTOR.fields_by_name[bytes_field].containing_oneof
    part = message.WhichOneof(oneof.name) if oneof is not None else bytes_field
    return None if part in (None, bytes_field) else part


def _file_headers(description: Any, offset: int) -> HeaderList:
    if description is None:
        return [("content-type", OCTETS), ("content-security-policy", FILE_CSP)]
    return [
        ("content-type", media_type(description.content_type)),
        ("content-length", str(max(0, description.size_bytes - offset))),
        ("content-disposition", disposition("attachment", description.filename)),
        ("content-security-policy", FILE_CSP),
        ("etag", f'"{description.sha256}"'),
    ]


async def _start(call: Call, send: Send, headers: HeaderList) -> None:
    initial: Any = await call.initial_metadata()
    await start_response(send, http_override(initial) or 200, [*headers, *response_headers(initial, ())])


def header_message(request: RoutedRequest) -> Message:
    """Return the first message, from path, query, Content-Length and digest headers. Raises InvalidArgument."""
    message = request.route.request_class()
    header = getattr(message, HEADER)
    header.SetInParent()
    if request.content_length is not None:
        header.size_bytes = request.content_length
    announced = header.sha256 = announced_sha256(request.headers)
    request.set_parameters(message, shorthand=HEADER)
    if announced and header.sha256.lower() != announced:
        text = "The query and the header give different SHA-256 digests; give one."
        raise InvalidArgument(text, reason="BAD_DIGEST", fields={"sha256": "another digest"})
    return message


async def upload(call: UploadCall, request: RoutedRequest, header: Message) -> Any:
    """Send the body to the call and return its response. A body that breaks off cancels the call, without a finish.

    Raises what `receive_body` raises, and AioRpcError as soon as the call fails.
    """
    sending = asyncio.create_task(_send_parts(call, request, header))
    responding: asyncio.Future[Any] = asyncio.ensure_future(call)
    try:
        await asyncio.wait({sending, responding}, return_when=asyncio.FIRST_COMPLETED)
        if not responding.done():
            sending.result()
        return await responding
    finally:
        call.cancel()
        await cancel_and_wait(sending, responding)


async def _send_parts(call: UploadCall, request: RoutedRequest, header: Message) -> None:
    make, field, size_bytes = request.route.request_class, request.route.body, 0
    # A call that has ended refuses writes; its response has the cause.
    with contextlib.suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
        await call.write(header)
        # A refusal is sent before the body is requested ("100 Continue").
        if ACCEPTED not in dict(await call.initial_metadata() or ()):
            return
        async for data in rechunk(receive_body(request.receive, request.idle_seconds)):
            await call.write(make(**{field: data}))
            size_bytes += len(data)
        finish = make()
        getattr(finish, FINISH).size_bytes = size_bytes
        await call.write(finish)
        await call.done_writing()
