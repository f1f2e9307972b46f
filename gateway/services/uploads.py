"""UploadService: uploads begun, described and ended; their bytes come by ByteStream."""

import hashlib
import re
from dataclasses import dataclass

from apigpu.v1 import uploads_pb2 as pb2
from apigpu.v1 import uploads_pb2_grpc
from gateway.callers import caller
from gateway.services.presenters import Presenter, idempotency_key
from gateway.services.times import timestamp
from gateway.uploads.session import PREFIX, Announcement, UploadSession, parse_resource
from gateway.uploads.sessions import UploadSessions
from servicekit import media_types
from servicekit.errors import InvalidArgument
from servicekit.interceptors import Context

MAX_METADATA_CHARS = 4096
ID_CHARS = 32
_SHA256 = re.compile(r"([0-9A-Fa-f]{64})?")


@dataclass(eq=False)
class UploadService(uploads_pb2_grpc.UploadServiceServicer):
    """Serves apigpu.v1.UploadService."""

    uploads: UploadSessions
    presenter: Presenter

    async def CreateUpload(self, request: pb2.CreateUploadRequest, context: Context) -> pb2.CreateUploadResponse:
        file, tenant, key = _announcement(request), caller.get().tenant, idempotency_key(context)
        if key:
            session = await self.uploads.find(_id_of(key, request), tenant, file)
        else:
            session = await self.uploads.create(file, tenant)
        return pb2.CreateUploadResponse(upload=await self._upload(session, context))

    async def GetUpload(self, request: pb2.GetUploadRequest, context: Context) -> pb2.GetUploadResponse:
        session = await self.uploads.get(_id(request.name), caller.get().tenant)
        return pb2.GetUploadResponse(upload=await self._upload(session, context))

    async def DeleteUpload(self, request: pb2.DeleteUploadRequest, context: Context) -> pb2.DeleteUploadResponse:
        await self.uploads.delete(_id(request.name), caller.get().tenant)
        return pb2.DeleteUploadResponse()

    async def _upload(self, session: UploadSession, context: Context) -> pb2.Upload:
        asset, file = await self.uploads.asset(session), session.file
        return pb2.Upload(
            name=session.name,
            filename=file.filename,
            content_type=file.content_type,
            size_bytes=file.size_bytes,
            committed_size=session.offset,
            create_time=timestamp(session.created_at.timestamp()),
            expire_time=timestamp(session.expires_at.timestamp()),
            asset=self.presenter.to(context).asset(asset) if asset else None,
            tus_metadata=file.tus_metadata,
        )


def _announcement(request: pb2.CreateUploadRequest) -> Announcement:
    if not request.HasField("size_bytes"):
        raise InvalidArgument.field("size_bytes", "is missing.", reason="MISSING_FIELD")
    if request.size_bytes < 0:
        raise InvalidArgument.field("size_bytes", f"is {request.size_bytes}; give 0 or more.")
    if not _SHA256.fullmatch(request.sha256):
        raise InvalidArgument.field("sha256", "is none: 64 hexadecimal digits.")
    if len(request.tus_metadata) > MAX_METADATA_CHARS:
        raise InvalidArgument.field("tus_metadata", f"is over {MAX_METADATA_CHARS} characters.")
    if not (request.tus_metadata.isascii() and request.tus_metadata.isprintable()):  # it is told as a header
        raise InvalidArgument.field("tus_metadata", "has more than printable ASCII; encode the values as base64.")
    return Announcement(
        size_bytes=request.size_bytes,
        filename=request.filename,
        content_type=request.content_type,
        charset=media_types.known_name(media_types.charset(request.content_type)),
        sha256=request.sha256.lower(),
        tus_metadata=request.tus_metadata,
    )


def _id_of(key: str, request: pb2.CreateUploadRequest) -> str:
    """Return the id of the upload that all get who announce the same with this idempotency key."""
    announced = request.SerializeToString(deterministic=True)
    return hashlib.sha256(b"\n".join((key.encode(), announced))).hexdigest()[:ID_CHARS]


def _id(name: str) -> str:
    session_id, file = parse_resource(name)
    if file is not None:
        raise InvalidArgument.field("name", f'is "{PREFIX}" and the id alone.', reason="BAD_UPLOAD_NAME")
    return session_id
