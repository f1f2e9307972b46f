"""/tasks/{key}/{ticket}/…: inputs and results of encoders behind a provider's queue, by signed link, without a key.

GET inputs/{n} streams an input; PUT result stores the result, PUT files/{n} a further one; HEAD result answers whether
the result is still needed. Once the ticket is dropped, all answer 410. Source: RemoteTask in encoder.proto.
"""

import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from starlette.datastructures import Headers, QueryParams
from starlette.types import Receive, Scope, Send

from gateway.assets.links import LinkSigner
from gateway.assets.record import name_for_type
from gateway.assets.store import AssetStore
from gateway.assets.transfers import Transfer, TransferSlots
from gateway.rest.digests import announced_sha256
from gateway.rest.request import end_response, receive_body, send_body, start_response, while_connected
from gateway.rest.status import Gone, MethodNotAllowed
from gateway.sources import Source, Sources
from gateway.workers.base import about, empty
from gateway.workers.tickets import AttemptTicket, Tickets
from servicekit.chunks import HOLE, rechunk
from servicekit.errors import AlreadyExists, DataLoss, InvalidArgument, NotFound, ServiceError, Unavailable

IDLE_SECONDS = 60.0
# Content-Type of results from workers that are older than results other than MP4.
UNTYPED = "application/octet-stream"
_FILENAME = re.compile(r'filename="([^"\\]{1,200})"')


@dataclass(frozen=True)
class WorkerLinks:
    """Access control shared by both applications: valid links, and the number of transfers at once.

    `transfers` are for workers alone: clients that download files cannot block their results.
    """

    tickets: Tickets
    links: LinkSigner
    assets: AssetStore
    sources: Sources
    transfers: TransferSlots
    _uploading: set[str] = field(default_factory=set)

    @contextlib.asynccontextmanager
    async def exclusive(self, ticket: AttemptTicket) -> AsyncIterator[Transfer]:
        """Hold a transfer slot for the only upload of a ticket. Raises Unavailable during another upload."""
        if ticket.id in self._uploading:
            text = "A result of this attempt is being uploaded already; try again in a moment."
            raise Unavailable(text, reason="RESULT_COMING")
        async with self.transfers.acquire(ticket.id) as transfer:
            self._uploading.add(ticket.id)
            try:
                yield transfer
            finally:
                self._uploading.remove(ticket.id)

    async def ticket(self, scope: Scope) -> AttemptTicket:
        """Return the ticket of this request's link. Raises PermissionDenied (forged, expired), Gone."""
        query, path = QueryParams(scope["query_string"]), scope["path_params"]
        self.links.verify(scope["path"], query.get("expires", ""), query.get("signature", ""))
        ticket = await self.tickets.get(path["key"])
        if ticket is None or ticket.id != path["ticket"] or ticket.is_closed:
            raise Gone("This attempt of the task is over; its result is not needed.", reason="TASK_OVER")
        return ticket


@dataclass(frozen=True)
class WorkerInputs:
    """ASGI application of one path, with the path parameters `key`, `ticket` and `number`."""

    links: WorkerLinks
    stall_seconds: float

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request. Raises ServiceError that names the input's field."""
        if scope["method"] != "GET":
            raise MethodNotAllowed(scope["method"], "A link to an input", ["GET"])
        ticket, number = await self.links.ticket(scope), scope["path_params"]["number"]
        field, _ = ticket.inputs[number]  # the signature covers the number
        opened = self._open(scope["path_params"]["key"], ticket, number)
        async with self.links.transfers.acquire(ticket.id) as transfer:
            await while_connected(receive, self._send(field, opened, send, transfer))

    @contextlib.asynccontextmanager
    async def _open(self, key: str, ticket: AttemptTicket, number: int) -> AsyncIterator[Source]:
        """Open an input; of one that may be planned with, its version is noted for the tasks that follow."""
        async with ticket.open_input(self.links.sources, number) as source:
            if number in ticket.outlines:
                await self.links.tickets.note_version(key, ticket, number, source.version)
            yield source

    async def _send(
        self, field: str, opened: AbstractAsyncContextManager[Source], send: Send, transfer: Transfer
    ) -> None:
        try:
            async with opened as source:
                chunks = source.chunks()
                first = await anext(chunks, b"")  # before the response starts: an error has a status of its own
                if not first:
                    raise empty()
                size = [] if source.sent_bytes is None else [("content-length", str(source.sent_bytes))]
                hole = [(HOLE, ",".join(map(str, source.holes)))] if source.holes else []
                charset = f"; charset={source.charset}" if source.charset else ""
                await start_response(send, 200, [("content-type", UNTYPED + charset), *size, *hole])
                await transfer.send(send_body(send, first, self.stall_seconds), len(first))
                async for data in chunks:
                    await transfer.send(send_body(send, data, self.stall_seconds), len(data))
        except ServiceError as error:
            raise about(field, error) from error
        await end_response(send)


@dataclass(frozen=True)
class WorkerResult:
    """ASGI application of two paths, with the path parameters `key`, `ticket`, and `number` for a further result."""

    links: WorkerLinks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request. Raises ServiceError."""
        if scope["method"] not in ("PUT", "HEAD"):
            raise MethodNotAllowed(scope["method"], "A link to a result", ["PUT", "HEAD"])
        ticket = await self.links.ticket(scope)
        if scope["method"] == "PUT":
            async with self.links.exclusive(ticket) as transfer:
                await self._store(scope, ticket, receive, transfer)
        await start_response(send, 204, ())
        await end_response(send)

    async def _store(self, scope: Scope, ticket: AttemptTicket, receive: Receive, transfer: Transfer) -> None:
        """Store the body as the ticket's asset, unless it is stored. Raises AlreadyExists if another body is."""
        headers = Headers(scope=scope)
        size_bytes, sha256 = _announced(headers)
        asset_id, filename, content_type = _target(scope, ticket, headers)
        if await self._is_stored(asset_id, size_bytes, sha256):
            return
        creating = self.links.assets.create(filename, content_type, asset_id, is_result=True, tenant=ticket.tenant)
        async with creating as writer:
            writer.check_size(size_bytes)
            async for data in rechunk(transfer.receive(receive_body(receive, IDLE_SECONDS), len)):
                await writer.write(data)
            # Meanwhile the attempt may have ended, or another worker of this run was faster, at another gateway.
            await self.links.ticket(scope)
            if await self._is_stored(asset_id, size_bytes, sha256):
                return
            await writer.commit(size_bytes=size_bytes, sha256=sha256)

    async def _is_stored(self, asset_id: str, size_bytes: int, sha256: str) -> bool:
        """Return True if this result is stored. Raises AlreadyExists if another one is."""
        try:
            stored = await self.links.assets.describe(asset_id)
        except (NotFound, DataLoss):
            return False
        if (stored.size_bytes, stored.sha256) != (size_bytes, sha256):
            raise AlreadyExists("This task has a result already, and it is another one.", reason="OTHER_RESULT")
        return True


def _target(scope: Scope, ticket: AttemptTicket, headers: Headers) -> tuple[str, str, str]:
    """Return asset id, filename and media type ("": by the name) of the result that a request uploads."""
    content_type = headers.get("content-type", "")
    content_type = "" if content_type == UNTYPED else content_type
    number = scope["path_params"].get("number")  # the signature covers it
    if number is None:
        return ticket.asset_id, name_for_type(ticket.filename, content_type), content_type
    named = _FILENAME.search(headers.get("content-disposition", ""))
    return ticket.file_id(number), named[1] if named else "", content_type


def _announced(headers: Headers) -> tuple[int, str]:
    """Return the size and SHA-256 that the request announces. Raises InvalidArgument without them."""
    length, sha256 = headers.get("content-length", ""), announced_sha256(headers)
    if not (length.isascii() and length.isdecimal()):
        fields = {"content-length": "is missing or no number"}
        raise InvalidArgument("Content-Length is needed.", reason="BAD_HEADER", fields=fields)
    if not sha256:
        fields = {"content-digest": "is missing"}
        raise InvalidArgument("Content-Digest with sha-256 is needed.", reason="BAD_DIGEST", fields=fields)
    return int(length), sha256
