"""/uploads by the protocol tus 1.0: creation (also with the first bytes), offsets, checksums, expiry, termination.

Requests become calls of UploadService and ByteStream, so keys, limits and errors are theirs. Those of JSON for the same
paths go on to the proxy. Source: https://tus.io/protocols/resumable-upload
"""

import asyncio
import base64
import binascii
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, ClassVar, TypeVar

import grpc
from google.bytestream import bytestream_pb2
from google.protobuf.message import Message
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from apigpu.v1 import uploads_pb2 as pb2
from gateway.assets.store import AssetStore
from gateway.rest import headers as http_headers
from gateway.rest.middleware import HEADERS
from gateway.rest.proxy import Proxy
from gateway.rest.request import ClientGone, client_of, end_response, receive_body, start_response
from gateway.rest.status import MethodNotAllowed, RequestTimeout, UnsupportedMedia
from gateway.rest.streams import exchange
from gateway.uploads.session import UPLOAD_ASSET, UPLOAD_CHECKSUM, UPLOAD_EXPIRES
from servicekit.chunk_messages import ChunkMessage, encoder
from servicekit.chunks import ACCEPTED, rechunk
from servicekit.echo import brief
from servicekit.errors import FailedPrecondition, InvalidArgument

M = TypeVar("M", bound=Message)

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,termination,checksum,expiration"
ALGORITHMS = "md5,sha1,sha256"
OFFSET_OCTETS = "application/offset+octet-stream"
PATHS = ("/uploads", "/uploads/", "/uploads/{id:path}")
WRITE = "/google.bytestream.ByteStream/Write"
WRITTEN = ChunkMessage(bytestream_pb2.WriteRequest, "data")
SERVICE = "/apigpu.v1.UploadService/"
# Headers that a page of another origin may read.
EXPOSED = (
    *("Tus-Resumable", "Tus-Version", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm"),
    *("Upload-Offset", "Upload-Length", "Upload-Metadata", "Upload-Expires", "Upload-Asset"),
)
# Of sizes and offsets: 10^18 bytes is more than there are.
MAX_DIGITS = 18
COLLECTION, RESOURCE = ("POST", "OPTIONS"), ("HEAD", "PATCH", "DELETE", "GET", "OPTIONS")


class WrongVersion(FailedPrecondition, reason="TUS_VERSION"):
    """The request is of another version of the protocol, or says of none."""

    http_status: ClassVar[int] = 412

    def __init__(self) -> None:
        super().__init__(f"Tus-Resumable must be {VERSION}, the version of the protocol that is served here.")
        self.headers = (("tus-version", VERSION),)


@dataclass(frozen=True)
class TusUploads:
    """ASGI application of PATHS; requests that are not of tus go to the proxy."""

    proxy: Proxy
    assets: AssetStore

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request. Raises ServiceError, AioRpcError and ClientGone."""
        headers = Headers(scope=scope)
        method = scope["method"]
        if method == "POST":
            method = headers.get("x-http-method-override", method).upper()
        is_tus = "tus-resumable" in headers or method in ("PATCH", "HEAD", "OPTIONS")
        if not is_tus or method == "GET":
            await self.proxy(scope, receive, send)
            return
        scope["state"][HEADERS] = {"tus-resumable": VERSION}
        upload_id = scope["path_params"].get("id", "").rstrip("/")
        if method == "OPTIONS":
            await self._respond(send, 204, self._abilities())
            return
        allowed = RESOURCE if upload_id else COLLECTION
        if method not in allowed:
            raise MethodNotAllowed(method, "An upload" if upload_id else "/uploads", allowed)
        if headers.get("tus-resumable", VERSION if method == "HEAD" else "") != VERSION:
            raise WrongVersion
        request = TusRequest(self.proxy, scope, headers, receive)
        answer = {"POST": request.create, "HEAD": request.describe, "PATCH": request.write, "DELETE": request.delete}
        status, response = await answer[method]()
        await self._respond(send, status, response)

    def _abilities(self) -> dict[str, str]:
        return {
            "tus-version": VERSION,
            "tus-extension": EXTENSIONS,
            "tus-max-size": str(self.assets.max_bytes),
            "tus-checksum-algorithm": ALGORITHMS,
        }

    async def _respond(self, send: Send, status: int, headers: dict[str, str]) -> None:
        await start_response(send, status, headers.items())
        await end_response(send)


@dataclass(frozen=True)
class TusRequest:
    """One request; each method returns HTTP status and headers of the response."""

    proxy: Proxy
    scope: Scope
    headers: Headers
    receive: Receive

    @property
    def upload_name(self) -> str:
        """The name of the upload in the path."""
        return f"uploads/{self.scope['path_params']['id'].rstrip('/')}"

    async def create(self) -> tuple[int, dict[str, str]]:
        """Begin an upload; write the bytes that came with the request, if any."""
        said = parse_metadata(self.headers.get("upload-metadata", ""))
        message = pb2.CreateUploadRequest(
            size_bytes=self._number("upload-length"),
            filename=said.get("filename") or said.get("name", ""),
            content_type=said.get("filetype") or said.get("type", ""),
            sha256=said.get("sha256", ""),
            tus_metadata=self.headers.get("upload-metadata", ""),
        )
        has_bytes = self._has_bytes() and message.size_bytes
        upload = (await self._call("CreateUpload", message, pb2.CreateUploadResponse)).upload
        response = {"location": f"/{upload.name}", **described(upload)}
        if has_bytes:
            _, written = await self._write(upload.name, 0)
            response |= written
        return 201, response

    async def describe(self) -> tuple[int, dict[str, str]]:
        """Tell the offset of an upload."""
        message = pb2.GetUploadRequest(name=self.upload_name)
        upload = (await self._call("GetUpload", message, pb2.GetUploadResponse)).upload
        return 200, described(upload) | ({"upload-metadata": upload.tus_metadata} if upload.tus_metadata else {})

    async def write(self) -> tuple[int, dict[str, str]]:
        """Write the body at the offset of an upload."""
        if not self._has_bytes():
            raise UnsupportedMedia(f"Content-Type must be {OFFSET_OCTETS}.")
        return await self._write(self.upload_name, self._number("upload-offset"))

    async def delete(self) -> tuple[int, dict[str, str]]:
        """End an upload."""
        await self._call("DeleteUpload", pb2.DeleteUploadRequest(name=self.upload_name), pb2.DeleteUploadResponse)
        return 204, {}

    async def _write(self, name: str, offset: int) -> tuple[int, dict[str, str]]:
        metadata = [*self._metadata(), (UPLOAD_CHECKSUM, self.headers.get("upload-checksum", ""))]
        self.proxy.admit(WRITE, metadata, client_of(self.scope))
        call: Any = self.proxy.channel.stream_unary(
            WRITE,
            request_serializer=encoder(bytestream_pb2.WriteRequest.SerializeToString),
            response_deserializer=bytestream_pb2.WriteResponse.FromString,
        )
        call = call(metadata=metadata)
        written = await exchange(call, self._send(call, name, offset))
        trailing: Any = dict(await call.trailing_metadata() or ())
        response = {"upload-offset": str(written.committed_size)}
        if asset := trailing.get(UPLOAD_ASSET):
            return 204, response | {UPLOAD_ASSET: asset}
        return 204, response | {UPLOAD_EXPIRES: http_date(datetime.fromisoformat(trailing[UPLOAD_EXPIRES]))}

    async def _send(self, call: Any, name: str, offset: int) -> None:
        """Send the body; what has come of one that breaks off is sent before its error is raised."""
        body = CutBody(receive_body(self.receive, self.proxy.settings.body_idle_seconds))
        # A call that has ended refuses writes; its response has the cause.
        with contextlib.suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
            await call.write(bytestream_pb2.WriteRequest(resource_name=name, write_offset=offset))
            # A refusal is sent before the body is requested ("100 Continue").
            if ACCEPTED not in dict(await call.initial_metadata() or ()):
                return
            async for data in rechunk(body.chunks()):
                await call.write(WRITTEN.outgoing(data, resource_name=name, write_offset=offset))
                offset += len(data)
            await call.done_writing()
            if body.error is not None:
                await call
        if body.error is not None:
            raise body.error

    async def _call(self, method: str, message: Message, response: type[M]) -> M:
        path, metadata = SERVICE + method, self._metadata()
        self.proxy.admit(path, metadata, client_of(self.scope))
        call: Any = self.proxy.channel.unary_unary(
            path, request_serializer=type(message).SerializeToString, response_deserializer=response.FromString
        )
        return await call(message, metadata=metadata)  # type: ignore[no-any-return]

    def _metadata(self) -> tuple[http_headers.Pair, ...]:
        base_url = self.proxy.base_url(self.scope, self.headers)
        return http_headers.request_metadata(self.headers, self.scope["state"]["request_id"], base_url)

    def _has_bytes(self) -> bool:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower() == OFFSET_OCTETS

    def _number(self, header: str) -> int:
        value = self.headers.get(header, "")
        if not (value.isascii() and value.isdecimal() and len(value) <= MAX_DIGITS):
            text = f"{header.title()} is needed, the number of bytes in digits."
            raise InvalidArgument(text, reason="BAD_HEADER", fields={header: "is missing or no number"})
        return int(value)


@dataclass
class CutBody:
    """A body that ends where it breaks off; `error` says then why."""

    body: AsyncIterator[bytes]
    error: Exception | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for data in self.body:
                yield data
        except (ClientGone, RequestTimeout) as error:
            self.error = error


def described(upload: pb2.Upload) -> dict[str, str]:
    """Return the headers that tell how far an upload is."""
    said = {"upload-offset": str(upload.committed_size), "upload-length": str(upload.size_bytes)}
    if upload.HasField("asset"):
        return said | {UPLOAD_ASSET: upload.asset.name}
    return said | {UPLOAD_EXPIRES: http_date(upload.expire_time.ToDatetime(UTC))}


def http_date(moment: datetime) -> str:
    """Return a time as HTTP writes it."""
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def parse_metadata(text: str) -> dict[str, str]:
    """Return what Upload-Metadata says: keys, and values in base64. Values that are no UTF-8 are left out. Raises
    InvalidArgument."""
    said = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        key, _, encoded = pair.partition(" ")
        try:
            value = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError) as error:
            wrong = f"Upload-Metadata: the value of {brief(key)} is no base64."
            raise InvalidArgument(wrong, reason="BAD_HEADER", fields={"upload-metadata": "is malformed"}) from error
        with contextlib.suppress(UnicodeDecodeError):
            said[key] = value.decode()
    return said
