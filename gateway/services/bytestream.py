"""google.bytestream.ByteStream: uploads that go on where they were cut, and reads of assets."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from google.bytestream import bytestream_pb2 as pb2
from google.bytestream import bytestream_pb2_grpc

from gateway.assets.record import parse_name
from gateway.assets.store import AssetStore
from gateway.assets.transfers import TransferSlots
from gateway.callers import caller
from gateway.services.presenters import proxy_metadata
from gateway.services.transferring import IDLE_SECONDS, STALL_SECONDS, send, while_sending
from gateway.uploads.checksums import PartChecksum
from gateway.uploads.session import UPLOAD_ASSET, UPLOAD_CHECKSUM, UPLOAD_EXPIRES, UploadSession, parse_resource
from gateway.uploads.sessions import UploadSessions
from gateway.uploads.writer import UploadWriter
from servicekit.chunk_messages import ChunkMessage, Received, takes
from servicekit.chunks import ACCEPTED
from servicekit.errors import InvalidArgument, OutOfRange
from servicekit.interceptors import Context

WRITE = ChunkMessage(pb2.WriteRequest, "data")
READ = ChunkMessage(pb2.ReadResponse, "data")

Part = Received[pb2.WriteRequest]
Requests = AsyncIterator[Part]
GO_ON = "ask for its offset, and go on there."


@dataclass(eq=False)
class ByteStreamService(bytestream_pb2_grpc.ByteStreamServicer):
    """Serves google.bytestream.ByteStream; each Read and each Write holds a transfer slot."""

    uploads: UploadSessions
    assets: AssetStore
    transfers: TransferSlots
    idle_seconds: float = IDLE_SECONDS
    stall_seconds: float = STALL_SECONDS

    @takes(WRITE)
    async def Write(self, request_iterator: Requests, context: Context) -> pb2.WriteResponse:
        async with self.transfers.acquire(caller.get().key_id) as transfer:
            messages = while_sending(request_iterator, self.idle_seconds, GO_ON)
            parts = transfer.receive(messages, lambda part: len(part.data))
            session = await self._written(await _first(parts), parts, context)
        if session.is_finished:
            context.set_trailing_metadata(((UPLOAD_ASSET, session.asset_name),))
        else:
            context.set_trailing_metadata(((UPLOAD_EXPIRES, session.expires_at.isoformat()),))
        return pb2.WriteResponse(committed_size=session.offset)

    async def _written(self, first: list[Part], parts: Requests, context: Context) -> UploadSession:
        request = first[0].message
        session_id, file = parse_resource(request.resource_name)
        session = await self.uploads.find(session_id, caller.get().tenant, file)
        # Who sends a whole upload again, as the answer was lost, need not send its bytes. Trailing metadata does not
        # reach a client that is still sending.
        if session.is_finished and file is not None:
            await context.send_initial_metadata(((UPLOAD_ASSET, session.asset_name),))
            return session
        checksum = PartChecksum.parse(proxy_metadata(context).get(UPLOAD_CHECKSUM, ""))
        async with self.uploads.writing(session, request.write_offset, checksum) as writer:
            await context.send_initial_metadata(((ACCEPTED, "1"),))
            await _receive(first, parts, writer)
        return await self.uploads.settled(writer.session)

    async def QueryWriteStatus(
        self, request: pb2.QueryWriteStatusRequest, context: Context
    ) -> pb2.QueryWriteStatusResponse:
        session = await self.uploads.get(parse_resource(request.resource_name)[0], caller.get().tenant)
        if session.is_finished:
            context.set_trailing_metadata(((UPLOAD_ASSET, session.asset_name),))
        return pb2.QueryWriteStatusResponse(committed_size=session.offset, complete=session.is_finished)

    async def Read(  # type: ignore[override]  # this form of a handler notices a stall
        self, request: pb2.ReadRequest, context: Context
    ) -> None:
        async with self.transfers.acquire(caller.get().key_id) as transfer:
            asset = await self.assets.describe(parse_name(request.resource_name), caller.get().sight)
            _check_range(request, asset.size_bytes)
            chunks = self.assets.read(asset, request.read_offset, request.read_limit or None)
            async with aclosing(chunks):
                async for data in chunks:
                    sending = send(context, READ.outgoing(data), self.stall_seconds, "read_offset")
                    await transfer.send(sending, len(data))


def _check_range(request: pb2.ReadRequest, size_bytes: int) -> None:
    for name, value, most in (
        ("read_offset", request.read_offset, size_bytes),
        ("read_limit", request.read_limit, None),
    ):
        if value < 0 or (most is not None and value > most):
            text = f"{name} is {value} and must be from 0 to {size_bytes}."
            raise OutOfRange(text, reason="OFFSET_OUT_OF_RANGE", fields={name: "range"})


async def _first(parts: Requests) -> list[Part]:
    """Return the first message, to be taken out of the list: its bytes are held no longer than needed."""
    async for part in parts:
        return [part]
    raise InvalidArgument("A Write has one message at least.", reason="NO_MESSAGE")


async def _receive(first: list[Part], parts: Requests, writer: UploadWriter) -> None:
    begin = first[0].message
    part: Part | None = first.pop()
    while part is not None:
        request, data = part
        del part
        _check_place(request, begin, writer)
        if data:
            await writer.write(data)
        del data
        if request.finish_write:
            _check_end(writer)
            if await anext(parts, None) is not None:
                raise InvalidArgument("Something came after `finish_write`.", reason="BAD_PART")
            return
        part = await anext(parts, None)


def _check_place(request: pb2.WriteRequest, first: pb2.WriteRequest, writer: UploadWriter) -> None:
    if request.resource_name not in ("", first.resource_name):
        raise InvalidArgument("A Write is of one upload alone.", reason="BAD_PART")
    if request.write_offset != writer.offset:
        text = f"write_offset is {request.write_offset}, and the bytes before end at {writer.offset}."
        raise InvalidArgument(text, reason="WRONG_OFFSET", fields={"write_offset": "is not where the last ones ended"})


def _check_end(writer: UploadWriter) -> None:
    size_bytes = writer.session.file.size_bytes
    if writer.offset != size_bytes:
        text = f"`finish_write` came with {writer.offset} of {size_bytes} bytes; they are kept, send the rest."
        raise InvalidArgument(text, reason="SIZE_MISMATCH")
