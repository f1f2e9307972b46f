"""/tasks/{key}/{ticket}/…: what encoders behind a provider's queue read and make, by signed link and without a key.

GET inputs/{n} streams an input; PUT result takes the result, PUT files/{n} a further one, HEAD result tells whether it
is still waited for. Once the ticket is dropped all answer 410. See RemoteTask in encoder.proto.
"""

import contextlib
import re
from collections.abc import Iterator

from starlette.datastructures import Headers, QueryParams
from starlette.types import Receive, Scope, Send

from gateway.assets.links import LinkSigner
from gateway.assets.record import name_for_type
from gateway.assets.store import AssetStore, TransferSlots
from gateway.rest.files import send_body
from gateway.rest.request import received, while_connected
from gateway.rest.status import Gone, MethodNotAllowed
from gateway.rest.uploads import digest
from gateway.sources import Source, Sources
from gateway.workers.base import about, empty
from gateway.workers.tickets import AttemptTicket, Tickets
from servicekit.chunks import rechunk
from servicekit.errors import AlreadyExists, DataLoss, InvalidArgument, NotFound, ServiceError, Unavailable

IDLE_SECONDS = 60.0
# What workers of before there were other results than MP4 say of it.
UNTYPED = "application/octet-stream"
_FILENAME = re.compile(r'filename="([^"\\]{1,200})"')


class WorkerLinks:
    """What both applications share: who may come in, and how many at once."""

    def __init__(
        self, tickets: Tickets, links: LinkSigner, assets: AssetStore, sources: Sources, max_transfers: int
    ) -> None:
        """`max_transfers` are for workers alone: whoever has links to files cannot keep inputs and results out."""
        self.assets = assets
        self.sources = sources
        self.transfers = TransferSlots(max_transfers)
        self._tickets = tickets
        self._links = links
        self._coming: set[str] = set()

    @contextlib.contextmanager
    def alone(self, ticket: AttemptTicket) -> Iterator[None]:
        """A place for the one result of a ticket that comes at a time. Raises Unavailable while another one does."""
        if ticket.id in self._coming:
            text = "A result of this try is being taken already; try again in a moment."
            raise Unavailable(text, reason="RESULT_COMING")
        with self.transfers.acquire():
            self._coming.add(ticket.id)
            try:
                yield
            finally:
                self._coming.remove(ticket.id)

    async def ticket(self, scope: Scope) -> AttemptTicket:
        """The ticket that the link of this request is of. Raises PermissionDenied (forged, expired), Gone."""
        query, asked = QueryParams(scope["query_string"]), scope["path_params"]
        self._links.verify(scope["path"], query.get("expires", ""), query.get("signature", ""))
        found = await self._tickets.find(asked["key"])
        if found is None or found.id != asked["ticket"] or found.is_closed:
            raise Gone("Nobody waits for this try of the task any more.", reason="TASK_OVER")
        return found


class WorkerInputs:
    """ASGI application of one path, with the path parameters `key`, `ticket` and `number`."""

    def __init__(self, door: WorkerLinks, stall_seconds: float) -> None:
        self._door = door
        self._stall_seconds = stall_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI. Raises ServiceError for the boundary to answer; it names the input's field."""
        if scope["method"] != "GET":
            raise MethodNotAllowed(scope["method"], "A link to an input", ["GET"])
        ticket, number = await self._door.ticket(scope), scope["path_params"]["number"]
        field, source = ticket.inputs[number]  # the signature covers the number
        with self._door.transfers.acquire():
            await while_connected(receive, self._send(field, source, send))

    async def _send(self, field: str, source: str, send: Send) -> None:
        async with contextlib.AsyncExitStack() as stack:
            try:
                opened = await stack.enter_async_context(self._door.sources.open(source))
                chunks = opened.chunks()
                first = await anext(chunks, b"")  # what fails before it is a plain error; later the body breaks off
                if not first:
                    raise empty()
            except ServiceError as error:
                raise about(field, error) from error
            await _answer(send, 200, _headers(opened))
            await send_body(send, first, self._stall_seconds)
            async for data in chunks:
                await send_body(send, data, self._stall_seconds)
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class WorkerResult:
    """ASGI application of two paths, with the path parameters `key` and `ticket`, and for a further result `number`."""

    def __init__(self, door: WorkerLinks) -> None:
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI. Raises ServiceError for the boundary to answer."""
        if scope["method"] not in ("PUT", "HEAD"):
            raise MethodNotAllowed(scope["method"], "A link to a result", ["PUT", "HEAD"])
        ticket = await self._door.ticket(scope)
        if scope["method"] == "PUT":
            with self._door.alone(ticket):
                await self._take(scope, ticket, receive)
        await _answer(send, 204, {})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _take(self, scope: Scope, ticket: AttemptTicket, receive: Receive) -> None:
        """Store the body as the ticket's asset. Once it is there, the same again is no fault, and another one is."""
        headers = Headers(scope=scope)
        size_bytes, sha256 = _announced(headers)
        asset_id, filename, content_type = _target(scope, ticket, headers)
        if await self._is_there(asset_id, size_bytes, sha256):
            return
        async with self._door.assets.create(filename, content_type, asset_id) as writer:
            writer.check_size(size_bytes)
            async for data in rechunk(received(receive, IDLE_SECONDS)):
                await writer.write(data)
            # Meanwhile the try may be over, or another worker of the same run may have been faster, at another gateway.
            await self._door.ticket(scope)
            if await self._is_there(asset_id, size_bytes, sha256):
                return
            await writer.commit(size_bytes=size_bytes, sha256=sha256)

    async def _is_there(self, asset_id: str, size_bytes: int, sha256: str) -> bool:
        """Whether the result is there. Raises AlreadyExists when it is another one."""
        try:
            there = await self._door.assets.describe(asset_id)
        except (NotFound, DataLoss):
            return False
        if (there.size_bytes, there.sha256) != (size_bytes, sha256):
            raise AlreadyExists("This task has a result already, and it is another one.", reason="OTHER_RESULT")
        return True


def _target(scope: Scope, ticket: AttemptTicket, headers: Headers) -> tuple[str, str, str]:
    """Return the asset id, file name and MIME type ("": by the name) of the result that a request brings."""
    content_type = headers.get("content-type", "")
    content_type = "" if content_type == UNTYPED else content_type
    number = scope["path_params"].get("number")  # the signature covers it
    if number is None:
        return ticket.asset_id, name_for_type(ticket.filename, content_type), content_type
    named = _FILENAME.search(headers.get("content-disposition", ""))
    return ticket.file_id(number), named[1] if named else "", content_type


def _announced(headers: Headers) -> tuple[int, str]:
    """Size and SHA-256 that the request announces. Raises InvalidArgument without them."""
    length, sha256 = headers.get("content-length", ""), digest(headers)
    if not (length.isascii() and length.isdecimal()):
        raise InvalidArgument("Content-Length is needed.", fields={"content-length": "is missing or no number"})
    if not sha256:
        raise InvalidArgument("Content-Digest with sha-256 is needed.", fields={"content-digest": "is missing"})
    return int(length), sha256


def _headers(source: Source) -> dict[str, str]:
    kind = {"content-type": "application/octet-stream"}
    return kind if source.size_bytes is None else kind | {"content-length": str(source.size_bytes)}


async def _answer(send: Send, status: int, headers: dict[str, str]) -> None:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
