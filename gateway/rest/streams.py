"""Streams of RPCs over HTTP: messages as NDJSON or server-sent events, files as bytes.

An upload is a client stream of header, chunks and finish. The request's oneof must have, beside the bytes field, the
messages `header` (filename, size_bytes, sha256) and `finish` (size_bytes). The method must send ACCEPTED once it has
checked the header, and computes the digest itself.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import grpc
import structlog
from google.protobuf.message import Message
from starlette.datastructures import Headers
from starlette.types import Send

from gateway.rest.digests import announced_sha256
from gateway.rest.files import FILE_CSP, OCTETS, FileVersion, disposition
from gateway.rest.forms import BadForm, FormUpload
from gateway.rest.headers import http_override, response_headers
from gateway.rest.protojson.decode import set_text
from gateway.rest.protojson.encode import dumps
from gateway.rest.request import RoutedRequest, end_response, receive_body, send_body, start_response
from gateway.rest.rules import FINISH, HEADER
from gateway.rest.status import from_call
from servicekit import media_types
from servicekit.chunk_messages import ChunkMessage, Outgoing
from servicekit.chunks import ACCEPTED, Data, rechunk
from servicekit.echo import brief
from servicekit.errors import InvalidArgument
from servicekit.tasks import cancel_and_wait

log = structlog.get_logger("gateway.rest")

Call = grpc.aio.UnaryStreamCall[Any, Any]
UploadCall = grpc.aio.StreamUnaryCall[Any, Any]
HeaderList = list[tuple[str, str]]
# Fields of a request for a file: from where, and how many bytes at most (0: all).
OFFSET, LENGTH = "offset", "length"


@dataclass(frozen=True)
class Framing:
    """Format of messages in a streamed body. `ping` keeps idle connections open, and is nothing to who reads it.

    With `has_ids` the id of a message is sent before it, and a stream without messages is answered with 204: that ends
    the reconnecting of browsers. Source: html.spec.whatwg.org/multipage/server-sent-events.html.
    """

    media_type: str
    ping: bytes
    before_result: bytes = b""
    before_failure: bytes = b""
    after: bytes = b"\n"
    has_ids: bool = False

    def result(self, text: bytes, event_id: str) -> bytes:
        """Return a message as it is sent."""
        line = f"id: {event_id}\n".encode() if self.has_ids and event_id else b""
        return line + self.before_result + text + self.after

    def failure(self, text: bytes) -> bytes:
        """Return the Status of a stream that failed, as it is sent."""
        return self.before_failure + text + self.after


# Space before a JSON text belongs to it, so no parser sees an empty line.
NDJSON = Framing("application/x-ndjson", ping=b" ")
EVENTS = Framing("text/event-stream", b": ping\n\n", b"data: ", b"event: error\ndata: ", b"\n\n", has_ids=True)
# Fields of a response and a request by which a stream goes on where it stopped; the header is that of EventSource.
EVENT_ID, LAST_EVENT_ID, LAST_EVENT_HEADER = "event_id", "last_event_id", "last-event-id"


def choose_framing(accept: str) -> Framing:
    """Return the framing for an Accept header: NDJSON unless it names server-sent events."""
    return EVENTS if EVENTS.media_type in accept.lower() else NDJSON


async def send_messages(call: Call, request: RoutedRequest, ping_seconds: float) -> None:
    """Respond with the messages of the call.

    Raises AioRpcError for a call that fails before its first message; later, its Status becomes the last line.
    """
    framing = choose_framing(request.headers.get("accept", ""))
    message: Any = await call.read()
    if message is grpc.aio.EOF and framing.has_ids:
        await start_response(request.send, 204, ())
        await end_response(request.send)
        return
    await _start(call, request.send, [("content-type", framing.media_type), ("x-accel-buffering", "no")])
    try:
        while message is not grpc.aio.EOF and not request.is_head:
            text = dumps({"result": request.route.response_json(message)})
            await send_body(request.send, framing.result(text, getattr(message, EVENT_ID, "")))
            message = await _next(call, request.send, framing.ping, ping_seconds)
    except grpc.aio.AioRpcError as error:
        await send_body(request.send, framing.failure(dumps({"error": from_call(error).line()})))
    await end_response(request.send)


def set_last_event(request: RoutedRequest, message: Message) -> None:
    """Let the stream go on where the client says that it stopped, by Last-Event-ID, if the method can."""
    known = message.DESCRIPTOR.fields_by_name
    if LAST_EVENT_ID in known and LAST_EVENT_HEADER in request.headers:
        setattr(message, LAST_EVENT_ID, request.headers[LAST_EVENT_HEADER])


async def _next(call: Call, send: Send, ping: bytes, ping_seconds: float) -> Any:
    """Return the next message; send `ping` while there is none."""
    reading = asyncio.ensure_future(call.read())
    try:
        while not (await asyncio.wait({reading}, timeout=ping_seconds))[0]:
            await send_body(send, ping)
        return await reading
    finally:
        if not reading.done():
            await cancel_and_wait(reading)


def asks_for_part(request: RoutedRequest, message: Message) -> bool:
    """Return True if the answer depends on what the file is: by a condition, a range, or HEAD, which has no body.

    Parameters of the method for the part that is wanted come first.
    """
    headers = {"range", "if-none-match", "if-modified-since"} & set(request.headers.keys())
    return bool(headers or request.is_head) and not any(getattr(message, name, 0) for name in (OFFSET, LENGTH))


async def send_part(open_call: Callable[[Message], Call], request: RoutedRequest, message: Message, file: Any) -> None:
    """Respond with the part of a file that the request's headers ask for, or that there is none.

    `file` describes it; `open_call` opens the call that reads from `offset` on, `length` bytes.
    """
    version = FileVersion(file.sha256, file.size_bytes, file.content_type, file.create_time.ToDatetime(UTC))
    status, headers, part = version.response(request.headers, is_head=request.is_head)
    headers |= _named(file)
    if not part:
        await start_response(request.send, status, headers.items())
        await end_response(request.send)
        return
    setattr(message, OFFSET, part.start)
    setattr(message, LENGTH, len(part))
    call = open_call(message)
    try:
        await send_file(call, request, message, status, headers)
    finally:
        call.cancel()


async def send_file(
    call: Call, request: RoutedRequest, message: Message, status: int = 200, more: Mapping[str, str] | None = None
) -> None:
    """Respond with the bytes field of the call's messages, untouched; `message` is the call's request.

    A first message with filename, content_type, size_bytes, sha256 and create_time gives the headers. A call that fails
    in mid-file breaks the connection. Raises ClientGone if the client stalls.
    """
    field, description = request.route.response_body, None
    part: Any = await call.read()
    if part is not grpc.aio.EOF and (name := _description_field(part, field)):
        description = getattr(part, name)
        part = await call.read()
    headers = _file_headers(description, message) | dict(more or {})
    await _start(call, request.send, list(headers.items()), status)
    remaining = int(headers.get("content-length", 0)) if description is not None else None
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


async def _chunks(call: Call, message: Any, field: str) -> AsyncIterator[Data]:
    while message is not grpc.aio.EOF:
        data = message.data if isinstance(message, Outgoing) else getattr(message, field)
        del message  # which would be held while the client takes the bytes
        yield data
        del data
        message = await call.read()


def _description_field(message: Message | Outgoing[Any], bytes_field: str) -> str | None:
    """Return the field that is set in place of the bytes; None if the message has bytes."""
    if isinstance(message, Outgoing):
        return None
    oneof = message.DESCRIPTOR.fields_by_name[bytes_field].containing_oneof
    part = message.WhichOneof(oneof.name) if oneof is not None else bytes_field
    return None if part in (None, bytes_field) else part


def _file_headers(file: Any, message: Message) -> dict[str, str]:
    """Return the headers of a whole file, or of the part that the call's request names, which is a whole of its own."""
    if file is None:
        return {"content-type": OCTETS, "content-security-policy": FILE_CSP}
    version = FileVersion(file.sha256, file.size_bytes, file.content_type, file.create_time.ToDatetime(UTC))
    size_bytes = max(0, file.size_bytes - getattr(message, OFFSET, 0))
    length = getattr(message, LENGTH, 0) or size_bytes
    _, headers, _ = version.response(Headers(), is_head=False)
    return headers | _named(file) | {"content-length": str(min(size_bytes, length))}


def _named(file: Any) -> dict[str, str]:
    # Who has the key may keep it, and asks each time whether it is there still.
    return {
        "content-disposition": disposition("attachment", file.filename),
        "cache-control": "private, no-cache, no-transform",
    }


async def _start(call: Call, send: Send, headers: HeaderList, status: int = 200) -> None:
    initial: Any = await call.initial_metadata()
    await start_response(send, http_override(initial) or status, [*headers, *response_headers(initial, ())])


def header_message(request: RoutedRequest, *, has_file_alone: bool) -> Message:
    """Return the first message, from path, query, and if the body is the file alone from Content-Length and digest
    headers. Raises InvalidArgument."""
    message = request.route.request_class()
    header = getattr(message, HEADER)
    header.SetInParent()
    announced = ""
    if has_file_alone:
        announced = header.sha256 = announced_sha256(request.headers)
        if request.content_length is not None:
            header.size_bytes = request.content_length
        header.charset = media_types.charset(request.headers.get("content-type", ""))
    request.set_parameters(message, shorthand=HEADER)
    if announced and header.sha256.lower() != announced:
        text = "The query and the header give different SHA-256 digests; give one."
        raise InvalidArgument(text, reason="BAD_DIGEST", fields={"sha256": "another digest"})
    return message


@dataclass
class UploadBody:
    """A file as it comes: the first message of its upload, its bytes, and what its end says of the digest."""

    header: Message
    chunks: AsyncIterator[bytes]
    form: FormUpload | None = None

    @classmethod
    async def open(cls, request: RoutedRequest) -> "UploadBody":
        """Return the body of a request, of a form up to its file. Raises InvalidArgument, and what the body raises."""
        body = receive_body(request.receive, request.idle_seconds)
        if not request.has_form:
            return cls(header_message(request, has_file_alone=True), body)
        form = FormUpload(request.headers, body)
        await form.begin()
        message = header_message(request, has_file_alone=False)
        header = getattr(message, HEADER)
        header.filename, header.charset = header.filename or form.filename, header.charset or form.charset
        for name, text in form.fields.items():
            set_text(message, f"{HEADER}.{name}", [text])
        return cls(message, form.chunks(), form)

    def finish(self, make: type[Message], size_bytes: int) -> Message:
        """Return the last message of the upload. Raises BadForm for a field that comes too late."""
        message = make()
        finish = getattr(message, FINISH)
        finish.size_bytes = size_bytes
        if self.form is not None:
            for name, text in self.form.late_fields.items():
                if name not in finish.DESCRIPTOR.fields_by_name:
                    raise BadForm(f'The field "{brief(name)}" of a form must come before the file.')
                set_text(message, f"{FINISH}.{name}", [text])
        return message


async def upload(call: UploadCall, request: RoutedRequest, body: UploadBody) -> Any:
    """Send the body to the call and return its response. A body that breaks off cancels the call, without a finish.

    Raises what the body raises, and AioRpcError as soon as the call fails.
    """
    return await exchange(call, _send_parts(call, request, body))


async def exchange(call: UploadCall, messages: Coroutine[Any, Any, None]) -> Any:
    """Send messages to the call and return its response; where they cannot be sent, the call is cancelled."""
    sending = asyncio.create_task(messages)
    responding: asyncio.Future[Any] = asyncio.ensure_future(call)
    try:
        await asyncio.wait({sending, responding}, return_when=asyncio.FIRST_COMPLETED)
        if not responding.done():
            sending.result()
        return await responding
    finally:
        call.cancel()
        await cancel_and_wait(sending, responding)


async def _send_parts(call: UploadCall, request: RoutedRequest, body: UploadBody) -> None:
    make, size_bytes = request.route.request_class, 0
    chunk = ChunkMessage(make, request.route.body)
    # A call that has ended refuses writes; its response has the cause.
    with contextlib.suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
        await call.write(body.header)
        # A refusal is sent before the body is requested ("100 Continue").
        if ACCEPTED not in dict(await call.initial_metadata() or ()):
            return
        async for data in rechunk(body.chunks):
            await call.write(chunk.outgoing(data))
            size_bytes += len(data)
            del data  # which would be held while the client sends the next bytes
        await call.write(body.finish(make, size_bytes))
        await call.done_writing()
