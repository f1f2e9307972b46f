"""HTTP requests that have a route, as messages of its RPC; their bodies; and the plain ASGI messages of responses."""

import asyncio
import functools
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from google.protobuf.message import Message
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from apigpu.v1 import jobs_pb2
from gateway.rest import digests, job_options
from gateway.rest.bodies import Bodies
from gateway.rest.headers import Pair
from gateway.rest.legacy.fields import TABLES
from gateway.rest.legacy.translation import LegacyNotes, translate
from gateway.rest.protojson import decode
from gateway.rest.protojson.decode import Descriptor
from gateway.rest.protojson.parse import loads
from gateway.rest.routes import WHOLE, Route
from gateway.rest.status import RequestTimeout, UnsupportedMedia
from servicekit.addresses import client_network, parse_address
from servicekit.chunks import Data
from servicekit.echo import brief
from servicekit.errors import InvalidArgument
from servicekit.tasks import cancel_and_wait

MAX_PARAMETERS = 1000
# Beside the seconds that a body may stall for, time to wait for it grows with what has come of it.
LEAST_BYTES_PER_SECOND = 8 * 1024


class ClientGone(Exception):
    """The HTTP client closed the connection, or stalled; nobody is left to answer."""


@dataclass(frozen=True)
class RoutedRequest:
    """A request with its route. `timeout_seconds` is the deadline of the gRPC call; None without one. One that
    `is_legacy` came by an older path; `notes` are what the answer says of a body in the older form."""

    route: Route
    variables: Mapping[str, str]
    query: Mapping[str, list[str]]
    headers: Headers
    metadata: tuple[Pair, ...]
    network: str
    timeout_seconds: float | None
    is_head: bool
    receive: Receive
    send: Send
    idle_seconds: float
    stall_seconds: float
    is_legacy: bool = False
    notes: LegacyNotes = field(default_factory=LegacyNotes)
    options: jobs_pb2.JobOptions = field(default_factory=jobs_pb2.JobOptions)

    @property
    def call_metadata(self) -> tuple[Pair, ...]:
        """The metadata of calls for the request."""
        said = self.options.SerializeToString()
        return (*self.metadata, (job_options.KEY, said)) if said else self.metadata

    def check_encoding(self) -> None:
        """Raise UnsupportedMedia for a body that is compressed, or a form where none is read."""
        coding = self.headers.get("content-encoding", "identity").lower()
        if coding != "identity":
            raise UnsupportedMedia(f"Content-Encoding {brief(coding)} is not read here; send the body as it is.")
        if self.has_form and not self.route.method.client_streaming:
            raise UnsupportedMedia("A form is not read here; the body must be JSON.")

    @property
    def has_form(self) -> bool:
        """Return True for a body of several parts, like those of `curl -F`."""
        return self.headers.get("content-type", "").lower().startswith("multipart/")

    @property
    def content_length(self) -> int | None:
        """Return the announced size of the body, if any. Raises InvalidArgument."""
        value = self.headers.get("content-length")
        if value is None:
            return None
        if not value.isascii() or not value.isdecimal():
            raise InvalidArgument("Content-Length is no number.", reason="BAD_HEADER")
        return int(value)

    async def message(self, bodies: Bodies) -> Message:
        """Return the RPC's request; query and path override the body. Raises ServiceError, and ClientGone."""
        message = self.route.request_class()
        if self.route.body:
            self.check_encoding()
            parts = receive_body(self.receive, self.idle_seconds)
            await bodies.read(parts, self.content_length, self.network, functools.partial(self._decode, message))
        self.set_parameters(message)
        return message

    def _decode(self, message: Message, content: bytes) -> None:
        digests.verify(self.headers, content)
        part = self.route.body_field
        if content.strip() and part is not None:
            decode.set_field(message, part, self._translated(part.message_type, content), part.json_name)
        elif content.strip():
            decode.merge(message, self._translated(message.DESCRIPTOR, content))
        elif part is not None and part.message_type is not None and not part.is_repeated:
            getattr(message, part.name).SetInParent()  # it is the body, though nothing is said

    def _translated(self, descriptor: Descriptor | None, content: bytes) -> Any:
        body = job_options.take(descriptor, loads(content), self.options)
        body = translate(TABLES, descriptor, body, self.notes)
        if job_options.takes_options(descriptor):
            for name, value in self.notes.echoes.items():  # kept with the job too
                if name not in self.options.metadata:
                    self.options.metadata[name] = str(value)
        return body

    def set_parameters(self, message: Message, shorthand: str = "") -> None:
        """Set the fields of query and path, the path last, so that it overrides.

        A parameter that is no field of the request may be a field of its field `shorthand`.
        """
        names: dict[str, str] = {}
        for name, texts in self.query.items():
            path = name
            if shorthand and not decode.fields_on(message.DESCRIPTOR, name):
                path = f"{shorthand}.{name}"
            fields = [field.name for field in decode.fields_on(message.DESCRIPTOR, path)]
            if self.route.body == WHOLE or self.route.body in fields[:1]:
                raise decode.unknown_name("query parameter", name, [])
            if fields and names.setdefault(".".join(fields), name) != name:  # by the proto's name and by JSON's
                raise decode.given_twice(name, names[".".join(fields)])
            decode.set_parameter(message, path, texts)
        for path, text in self.variables.items():
            decode.set_text(message, path, [text])


def client_of(scope: Scope) -> str:
    """Return what stands for the client of a request in limits: its address, or its network of IPv6."""
    host, _ = scope.get("client") or ("", 0)
    return client_network(parse_address(host))


def parse_query(text: bytes) -> dict[str, list[str]]:
    """Return the parameters of a query with their values, in order. Raises InvalidArgument."""
    try:
        return parse_qs(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError as error:  # not UTF-8, or too many
        reading = f"The query is not UTF-8 or has over {MAX_PARAMETERS} parameters."
        raise InvalidArgument(reading, reason="BAD_QUERY") from error


async def receive_body(receive: Receive, idle_seconds: float) -> AsyncIterator[bytes]:
    """Yield a body as it arrives. Raises ClientGone when it breaks off, RequestTimeout when it is late or too slow."""
    clock = asyncio.get_running_loop().time
    has_more, size_bytes, waited_seconds = True, 0, 0.0
    while has_more:
        left_seconds = idle_seconds + size_bytes / LEAST_BYTES_PER_SECOND - waited_seconds
        since = clock()
        try:
            async with asyncio.timeout(min(idle_seconds, left_seconds)):
                message = await receive()
        except TimeoutError as error:
            raise _too_slow(idle_seconds, size_bytes, left_seconds) from error
        waited_seconds += clock() - since
        if message["type"] == "http.disconnect":
            raise ClientGone
        has_more = message.get("more_body", False)
        data = message.get("body")
        if data:
            size_bytes += len(data)
            yield data


def _too_slow(idle_seconds: float, size_bytes: int, left_seconds: float) -> RequestTimeout:
    if left_seconds >= idle_seconds:
        return RequestTimeout(f"Nothing of the body came for {idle_seconds:g} s; send it again.")
    return RequestTimeout(
        f"The body came too slowly, {size_bytes} bytes of it; send {LEAST_BYTES_PER_SECOND} bytes a second at least."
    )


async def while_connected(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Run `work`; if the client disconnects, cancel it and raise ClientGone. The rest of the body is dropped."""
    working, watching = asyncio.create_task(work), asyncio.create_task(_wait_disconnect(receive))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        is_gone = not working.done()
    finally:
        await cancel_and_wait(working, watching)
    if is_gone:
        raise ClientGone
    working.result()


async def _wait_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def start_response(send: Send, status: int, headers: Iterable[tuple[str, str]]) -> None:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def send_body(send: Send, data: Data, stall_seconds: float | None = None) -> None:
    """Send a part of the body. Raises ClientGone if the client stalls for `stall_seconds`; it may resume with Range."""
    try:
        async with asyncio.timeout(stall_seconds):
            await send({"type": "http.response.body", "body": data, "more_body": True})
    except TimeoutError as error:
        raise ClientGone from error


async def end_response(send: Send) -> None:
    await send({"type": "http.response.body", "body": b"", "more_body": False})
