"""AssetService: files in by a checked stream, out from any offset."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

from apigpu.v1 import assets_pb2 as pb2
from apigpu.v1 import assets_pb2_grpc
from gateway.assets.direct import DirectLinks
from gateway.assets.listing import AssetFilter, AssetLister, AssetPlace
from gateway.assets.record import parse_name
from gateway.assets.store import AssetStore, AssetWriter, StoredAsset
from gateway.assets.transfers import TransferSlots
from gateway.callers import caller
from gateway.services.jobs import created_between
from gateway.services.presenters import Presenter, proxy_metadata
from gateway.services.tokens import PageTokens
from gateway.services.transferring import IDLE_SECONDS, STALL_SECONDS, send, while_sending
from servicekit import media_types
from servicekit.chunk_messages import ChunkMessage, Received, takes
from servicekit.chunks import ACCEPTED
from servicekit.errors import DataLoss, InvalidArgument
from servicekit.interceptors import Context

DEFAULT_PAGE, MAX_PAGE = 50, 1000

UPLOAD = ChunkMessage(pb2.UploadAssetRequest, "chunk")
DOWNLOAD = ChunkMessage(pb2.DownloadAssetResponse, "chunk")

Requests = AsyncIterator[Received[pb2.UploadAssetRequest]]


@dataclass(eq=False)
class AssetService(assets_pb2_grpc.AssetServiceServicer):
    """Serves apigpu.v1.AssetService; each upload and download holds a transfer slot."""

    assets: AssetStore
    presenter: Presenter
    transfers: TransferSlots
    direct: DirectLinks
    idle_seconds: float = IDLE_SECONDS
    stall_seconds: float = STALL_SECONDS
    lister: AssetLister = field(init=False)

    def __post_init__(self) -> None:
        self.lister = AssetLister(self.assets)

    @takes(UPLOAD)
    async def UploadAsset(self, request_iterator: Requests, context: Context) -> pb2.UploadAssetResponse:
        async with self.transfers.acquire(caller.get().key_id) as transfer:
            messages = while_sending(request_iterator, self.idle_seconds, "nothing was kept. Send it again.")
            parts = transfer.receive(messages, lambda part: len(part.data))
            header = await _header(parts)
            async with self.assets.create(header.filename, tenant=caller.get().tenant) as writer:
                writer.check_size(header.size_bytes)
                writer.charset = media_types.known_name(header.charset)
                await context.send_initial_metadata(((ACCEPTED, "1"),))
                # The JSON proxy needs no digest: the chunks have not left this process.
                asset = await _receive(parts, writer, header, needs_digest=not proxy_metadata(context))
        return pb2.UploadAssetResponse(asset=self.presenter.to(context).asset(asset))

    async def DownloadAsset(  # type: ignore[override]  # this form of a handler notices a stall
        self, request: pb2.DownloadAssetRequest, context: Context
    ) -> None:
        async with self.transfers.acquire(caller.get().key_id) as transfer:
            asset = await self.assets.find(parse_name(request.name), caller.get().sight)
            if not 0 <= request.offset <= asset.size_bytes:
                raise InvalidArgument(
                    f"offset is {request.offset} and must be from 0 to {asset.size_bytes}.",
                    reason="OFFSET_OUT_OF_RANGE",
                    fields={"offset": "range"},
                )
            if request.length < 0:
                raise InvalidArgument.field("length", f"is {request.length}; give 0 for all, or more.")
            described = pb2.DownloadAssetResponse(asset=self.presenter.to(context).asset(asset))
            await send(context, described, self.stall_seconds, "offset")
            async with aclosing(self.assets.read(asset, request.offset, request.length or None)) as chunks:
                async for data in chunks:
                    message = DOWNLOAD.outgoing(data)
                    await transfer.send(send(context, message, self.stall_seconds, "offset"), len(data))
                    del data, message  # while the next one is awaited

    async def GetAsset(self, request: pb2.GetAssetRequest, context: Context) -> pb2.GetAssetResponse:
        asset = await self.assets.describe(parse_name(request.name), caller.get().sight)
        return pb2.GetAssetResponse(asset=self.presenter.to(context).asset(asset))

    async def ListAssets(self, request: pb2.ListAssetsRequest, context: Context) -> pb2.ListAssetsResponse:
        size = request.page_size or DEFAULT_PAGE
        if not 0 < size <= MAX_PAGE:
            raise InvalidArgument.field("page_size", f"is {size}; give 1 to {MAX_PAGE}.")
        wanted = AssetFilter(
            caller.get().sight_of(request.tenant),
            request.content_type.strip().lower(),
            *created_between(request),
            request.size_bytes,
        )
        tokens, presenter = PageTokens(self.presenter.links), self.presenter.to(context)
        token = tokens.read(request.page_token, repr(wanted))
        found, last = await self.lister.page(wanted, size, AssetPlace.parse(token) if token else None)
        return pb2.ListAssetsResponse(
            assets=map(presenter.asset, found), next_page_token=tokens.make(str(last) if last else "", repr(wanted))
        )

    async def DeleteAsset(self, request: pb2.DeleteAssetRequest, context: Context) -> pb2.DeleteAssetResponse:
        await self.assets.delete(parse_name(request.name), caller.get().sight)
        return pb2.DeleteAssetResponse()

    async def SignUpload(self, request: pb2.SignUploadRequest, context: Context) -> pb2.SignUploadResponse:
        made = await self.direct.begin(request.filename, request.content_type, request.size_bytes, caller.get().tenant)
        response = pb2.SignUploadResponse(url=made.url, headers=made.headers, token=made.token)
        response.expire_time.FromDatetime(made.expires_at)
        return response

    async def CommitUpload(self, request: pb2.CommitUploadRequest, context: Context) -> pb2.CommitUploadResponse:
        async with self.transfers.acquire(caller.get().key_id):
            asset = await self.direct.commit(request.token, request.sha256, caller.get().tenant)
        return pb2.CommitUploadResponse(asset=self.presenter.to(context).asset(asset))


async def _header(parts: Requests) -> pb2.UploadHeader:
    first = await anext(parts, None)
    if first is not None and first.message.WhichOneof("part") == "header":
        return first.message.header
    raise InvalidArgument("An upload begins with a header.", reason="NO_HEADER")


async def _receive(
    parts: Requests, writer: AssetWriter, header: pb2.UploadHeader, *, needs_digest: bool
) -> StoredAsset:
    async for request, data in parts:
        part = request.WhichOneof("part")
        if part == "chunk":
            await writer.write(data)
            del data
        elif part == "finish":
            return await _finish(writer, header, request.finish, needs_digest=needs_digest)
        else:
            raise InvalidArgument("After the header an upload has chunks and one finish.", reason="BAD_PART")
    # The end of the stream proves nothing: a client that was killed can look like one that is done.
    raise DataLoss("The upload ended without finish; nothing was kept. Send it again.", reason="NO_FINISH")


async def _finish(
    writer: AssetWriter, header: pb2.UploadHeader, finish: pb2.UploadFinish, *, needs_digest: bool
) -> StoredAsset:
    sizes = [part.size_bytes for part in (header, finish) if part.HasField("size_bytes")]
    digests = [part.sha256.lower() for part in (header, finish) if part.sha256]
    if not sizes or (needs_digest and not digests):
        raise InvalidArgument("Give size_bytes and sha256, in the header or in finish.", reason="NO_DIGEST")
    if len(set(sizes)) > 1 or len(set(digests)) > 1:
        raise InvalidArgument("Header and finish give different sizes or digests.", reason="DIGEST_MISMATCH")
    try:
        return await writer.commit(size_bytes=sizes[0], sha256=digests[0] if digests else "")
    except DataLoss as error:
        raise InvalidArgument(error.message, reason=error.reason) from error
