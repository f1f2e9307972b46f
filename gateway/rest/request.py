"""HTTP requests that have a route, their bodies, and the plain ASGI messages of responses."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Receive, Send

from gateway.rest.headers import Pair
from gateway.rest.routes import Route
from gateway.rest.status import RequestTimeout, UnsupportedMedia
from servicekit.errors import InvalidArgument, ResourceExhausted
from servicekit.tasks import cancel_and_wait


class ClientGone(Exception):
    """The HTTP client closed the connection, or stalled; nobody is left to answer."""


@dataclass(frozen=True)
class RoutedRequest:
    """A request with its route. `timeout_seconds` is the deadline of the gRPC call; None without one."""

    route: Route
    variables: Mapping[str, str]
    query: Mapping[str, list[str]]
    headers: Headers
    metadata: tuple[Pair, ...]
    timeout_seconds: float | None
    is_head: bool
    receive: Receive
    send: Send
    idle_seconds: float
    stall_seconds: float

    def check_encoding(self) -> None:
        """Raise UnsupportedMedia for a body that is compressed, or a form."""
        coding = self.headers.get("content-encoding", "identity").lower()
        if coding != "identity":
            raise UnsupportedMedia(f"Content-Encoding {coding} is not read here; send the body as it is.")
        if self.headers.get("content-type", "").lower().startswith("multipart/"):
            raise UnsupportedMedia("A form is not read here; the body must be the JSON, or the file, itself.")

    @property
    def content_length(self) -> int | None:
        """Return the announced size of the body, if any. Raises InvalidArgument."""
        value = self.headers.get("content-length")
        if value is None:
            return None
        if not value.isascii() or not value.isdecimal():
            raise InvalidArgument("Content-Length is no number.")
        return int(value)

    def body(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives. Raises ClientGone when it breaks off, RequestTimeout when it stalls."""
        return receive_body(self.receive, self.idle_seconds)

    async def read(self, max_bytes: int) -> bytes:
        """Return the whole body. Raises ResourceExhausted, and what `body` raises."""
        too_large = ResourceExhausted(
            f"The body is over {max_bytes} bytes, the most that JSON may have here; a file is uploaded to /assets, and "
            "named.",
            reason="TOO_LARGE",
        )
        if (self.content_length or 0) > max_bytes:
            raise too_large
        content = bytearray()
        async for data in self.body():
            content += data
            if len(content) > max_bytes:
                raise too_large
        return bytes(content)


async def receive_body(receive: Receive, idle_seconds: float) -> AsyncIterator[bytes]:
    """Yield a body as it arrives. Raises ClientGone when it breaks off, RequestTimeout when it stalls."""
    has_more = True
    while has_more:
        try:
            async with asyncio.timeout(idle_seconds):
                message = await receive()
        except TimeoutError as error:
            raise RequestTimeout(f"Nothing of the body came for {idle_seconds:g} s; send it again.") from error
        if message["type"] == "http.disconnect":
            raise ClientGone
        has_more = message.get("more_body", False)
        if message.get("body"):
            yield message["body"]


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
    """Send the status and the headers."""
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def send_body(send: Send, data: bytes, stall_seconds: float | None = None) -> None:
    """Send a part of the body. Raises ClientGone if the client stalls for `stall_seconds`; it may resume with Range."""
    try:
        async with asyncio.timeout(stall_seconds):
            await send({"type": "http.response.body", "body": data, "more_body": True})
    except TimeoutError as error:
        raise ClientGone from error


async def end_response(send: Send) -> None:
    """End the body."""
    await send({"type": "http.response.body", "body": b"", "more_body": False})
