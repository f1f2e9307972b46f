"""Server streams on their way out: messages as NDJSON or server-sent events, files as bytes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from google.protobuf.message import Message
from starlette.types import Send

from gateway.rest.file_headers import FILE_CSP, OCTETS, disposition, etag, media_type
from gateway.rest.files import send_body
from gateway.rest.headers import http_override, response_headers
from gateway.rest.protojson.encode import dumps
from gateway.rest.request import RequestBody
from gateway.rest.status import from_call
from gateway.rest.transcode import response_json
from servicekit.tasks import cancel_and_wait

log = structlog.get_logger("http")

Call = grpc.aio.UnaryStreamCall[Any, Any]
HeaderList = list[tuple[str, str]]


@dataclass(frozen=True)
class Framing:
    """How messages stand in a body that streams; `ping` keeps idle connections open where the format has a comment."""

    media_type: str
    result: Callable[[bytes], bytes]
    failure: Callable[[bytes], bytes]
    ping: bytes


NDJSON = Framing("application/x-ndjson", lambda text: text + b"\n", lambda text: text + b"\n", b"")
EVENTS = Framing(
    "text/event-stream",
    lambda text: b"data: " + text + b"\n\n",
    lambda text: b"event: error\ndata: " + text + b"\n\n",
    b": ping\n\n",
)


def framing(accept: str) -> Framing:
    """The framing that the Accept header asks for: NDJSON unless it names server-sent events."""
    return EVENTS if EVENTS.media_type in accept.lower() else NDJSON


async def send_messages(call: Call, inbound: RequestBody, ping_seconds: float) -> None:
    """Answer with the messages of the call. One that fails before its first message raises AioRpcError; later, its
    Status is the last line."""
    frames = framing(inbound.headers.get("accept", ""))
    message: Any = await call.read()
    await _start(call, inbound.send, [("content-type", frames.media_type), ("x-accel-buffering", "no")])
    try:
        while message is not grpc.aio.EOF and not inbound.is_head:
            text = dumps({"result": response_json(inbound.route, message)})
            await _send(inbound.send, frames.result(text))
            message = await _next(call, inbound.send, frames.ping, ping_seconds)
    except grpc.aio.AioRpcError as error:
        await _send(inbound.send, frames.failure(dumps({"error": from_call(error).line()})))
    await _send(inbound.send, b"", more=False)


async def _next(call: Call, send: Send, ping: bytes, ping_seconds: float) -> Any:
    """The next message; comments go out while there is none."""
    reading = asyncio.ensure_future(call.read())
    try:
        while not (await asyncio.wait({reading}, timeout=ping_seconds if ping else None))[0]:
            await _send(send, ping)
        return await reading
    finally:
        if not reading.done():
            await cancel_and_wait(reading)


async def send_file(call: Call, inbound: RequestBody, request: Message) -> None:
    """Answer with the bytes field of the call's messages, untouched. A message before them that tells filename,
    content_type, size_bytes and sha256 gives the headers. A call that fails in mid-file breaks the connection. Raises
    ClientGone for who takes nothing of the file for a while."""
    field, about = inbound.route.response_body, None
    message: Any = await call.read()
    if message is not grpc.aio.EOF and (part := _other_part(message, field)):
        about = getattr(message, part)
        message = await call.read()
    headers = _file_headers(about, getattr(request, "offset", 0))
    await _start(call, inbound.send, headers)
    left = int(dict(headers).get("content-length", 0)) if about is not None else None
    if not inbound.is_head:
        try:
            async for data in _chunks(call, message, field):
                left = None if left is None else left - len(data)
                if data:
                    await send_body(inbound.send, data, inbound.stall_seconds)
        except grpc.aio.AioRpcError as error:
            log.warning("download broke off", code=error.code().name, error=error.details())
            return
        if left:
            log.warning("download ended early", bytes_missing=left)
            return
    await _send(inbound.send, b"", more=False)


async def _chunks(call: Call, message: Any, field: str) -> AsyncIterator[bytes]:
    while message is not grpc.aio.EOF:
        yield getattr(message, field)
        message = await call.read()


def _other_part(message: Message, bytes_field: str) -> str | None:
    """Name of the message that stands in the place of the bytes; None when it is the bytes."""
    oneof = message.DESCRIPTOR.fields_by_name[bytes_field].containing_oneof
    part = message.WhichOneof(oneof.name) if oneof is not None else bytes_field
    return None if part in (None, bytes_field) else part


def _file_headers(about: Any, offset: int) -> HeaderList:
    if about is None:
        return [("content-type", OCTETS), ("content-security-policy", FILE_CSP)]
    return [
        ("content-type", media_type(about.content_type)),
        ("content-length", str(max(0, about.size_bytes - offset))),
        ("content-disposition", disposition("attachment", about.filename)),
        ("content-security-policy", FILE_CSP),
        ("etag", etag(about.sha256)),
    ]


async def _start(call: Call, send: Send, headers: HeaderList) -> None:
    initial: Any = await call.initial_metadata()
    every = [*headers, *response_headers(initial, ())]
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in every]
    await send({"type": "http.response.start", "status": http_override(initial) or 200, "headers": raw})


async def _send(send: Send, data: bytes, *, more: bool = True) -> None:
    if data or not more:
        await send({"type": "http.response.body", "body": data, "more_body": more})
