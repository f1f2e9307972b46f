"""One HTTP request on its way in: its parts as gRPC needs them, and its body as it arrives."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Receive, Send

from gateway.rest.headers import Pair
from gateway.rest.routes import Route
from gateway.rest.status import ContentTooLarge, RequestTimeout, UnsupportedMedia
from servicekit.errors import InvalidArgument
from servicekit.tasks import cancel_and_wait


class ClientGone(Exception):
    """The HTTP client closed the connection; nobody is left to answer."""


@dataclass(frozen=True)
class RequestBody:
    """A request that has a route. `timeout_seconds` is the deadline of the call, None without one."""

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
        """Raises UnsupportedMedia for a body that is wrapped: compressed, or a form."""
        coding = self.headers.get("content-encoding", "identity").lower()
        if coding != "identity":
            raise UnsupportedMedia(f"Content-Encoding {coding} is not read here; send the body as it is.")
        if self.headers.get("content-type", "").lower().startswith("multipart/"):
            raise UnsupportedMedia("A form is not read here; the body must be the JSON, or the file, itself.")

    @property
    def content_length(self) -> int | None:
        """Bytes of the body where they are announced. Raises InvalidArgument."""
        value = self.headers.get("content-length")
        if value is None:
            return None
        if not value.isascii() or not value.isdecimal():
            raise InvalidArgument("Content-Length is no number.")
        return int(value)

    async def body(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises ClientGone when it breaks off, RequestTimeout when it stalls."""
        async for data in received(self.receive, self.idle_seconds):
            yield data

    async def read(self, max_bytes: int) -> bytes:
        """The whole body. Raises ContentTooLarge, and what `body` raises."""
        too_large = ContentTooLarge(
            f"The body is over {max_bytes} bytes, the most that JSON may have here; a file is uploaded to /assets, and "
            "named.",
            reason="TOO_LARGE",
        )
        if (self.content_length or 0) > max_bytes:
            raise too_large
        held = bytearray()
        async for data in self.body():
            held += data
            if len(held) > max_bytes:
                raise too_large
        return bytes(held)


async def received(receive: Receive, idle_seconds: float) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises ClientGone when it breaks off, RequestTimeout when it stalls."""
    more = True
    while more:
        try:
            async with asyncio.timeout(idle_seconds):
                message = await receive()
        except TimeoutError as error:
            raise RequestTimeout(f"Nothing of the body came for {idle_seconds:g} s; send it again.") from error
        if message["type"] == "http.disconnect":
            raise ClientGone
        more = message.get("more_body", False)
        if message.get("body"):
            yield message["body"]


async def while_connected(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Run `work`; cancel it when the client goes away, and raise ClientGone. What is left of the body is dropped."""
    working, watching = asyncio.create_task(work), asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        is_gone = not working.done()
    finally:
        await cancel_and_wait(working, watching)
    if is_gone:
        raise ClientGone
    working.result()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
