"""Uploads of local files: small ones in one call, large ones by ByteStream, which goes on where it was cut."""

import stat
import threading
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from io import FileIO
from itertools import cycle
from pathlib import Path
from typing import Any

import grpc
from google.bytestream import bytestream_pb2
from google.bytestream.bytestream_pb2 import WriteRequest

from api_gpu.connection import Connection, Retries
from api_gpu.requests import sendable
from apigpu.v1 import assets_pb2, uploads_pb2
from apigpu.v1.assets_pb2_grpc import AssetServiceStub
from apigpu.v1.uploads_pb2_grpc import UploadServiceStub
from servicekit.chunk_messages import ChunkMessage, Outgoing, chunk_method
from servicekit.chunks import ACCEPTED, Checksum, ChecksumBeside, Data
from servicekit.errors import Aborted, DataLoss, FailedPrecondition, NotFound, ServiceError, Unavailable

# Twice what the services use among themselves: fewer turns of Python for each byte. Twice as much again was slower
# where it was measured, and took 10 MB more of the gateway.
CHUNK_BYTES = 1024 * 1024
CLOSE_SECONDS = 0.5
# Smaller files are sent again when they are cut: to ask for an offset first would make all of them slower.
RESUMABLE_BYTES = 8 * 1024 * 1024
# Errors after which a transfer may go on: others needed its place, or it was too slow.
PASSING = ("BUSY", "EVICTED", "UPLOAD_IDLE")
END_SECONDS = 2.0

ASSET_SERVICE = assets_pb2.DESCRIPTOR.services_by_name["AssetService"]
BYTE_STREAM = bytestream_pb2.DESCRIPTOR.services_by_name["ByteStream"]
UPLOAD = ChunkMessage(assets_pb2.UploadAssetRequest, "chunk")
WRITE = ChunkMessage(WriteRequest, "data")

UploadMessage = assets_pb2.UploadAssetRequest | Outgoing[assets_pb2.UploadAssetRequest]
OnBytes = Callable[[int, int | None], None]
"""Called with the bytes passed so far and those of the whole file, None where that is not known."""


def may_go_on(error: ServiceError) -> bool:
    """Return True for an error after which a transfer may go on."""
    return isinstance(error, (Unavailable, Aborted)) or error.reason in PASSING


def note_acceptance(connection: Connection, call: Any) -> None:
    """Note that the gateway is there if it asked for the bytes of a call that has ended."""
    if any(name == ACCEPTED for name, _ in call.initial_metadata() or ()):
        connection.has_answered = True


def is_resumable(path: Path) -> bool:
    """Return True for a file that is worth going on with. Raises OSError."""
    status = path.stat()
    return stat.S_ISREG(status.st_mode) and status.st_size >= RESUMABLE_BYTES


@dataclass
class SingleUpload:
    """A small file, or a pipe, on its way to the gateway in one call."""

    path: Path
    connection: Connection
    on_bytes: OnBytes | None
    messages: "UploadMessages"
    call: Any = None

    @classmethod
    def begin(cls, path: Path, connection: Connection, on_bytes: OnBytes | None) -> "SingleUpload":
        """Begin to send a file. Raises OSError."""
        upload = cls(path, connection, on_bytes, UploadMessages(path, on_bytes))
        upload._send()
        return upload

    def asset(self) -> assets_pb2.Asset:
        """Wait for the end, and send a file again that was cut; return the asset. Raises ServiceError; whatever is
        raised ends the upload."""
        retries = Retries(self.connection)
        with local_errors(self.path, "read"):
            while True:
                try:
                    return self._result()
                except ServiceError as error:
                    note_acceptance(self.connection, self.call)
                    if not self.messages.is_file or not may_go_on(error) or not retries.allow():
                        raise
                self.messages = self.messages.again()
                self._send()

    def cancel(self) -> assets_pb2.Asset | None:
        """End the upload; return the asset when it was complete already."""
        self.call.cancel()
        with suppress(OSError):
            self.messages.close()
        return self.call.result().asset if self.call.code() is grpc.StatusCode.OK else None

    def _send(self) -> None:
        method = chunk_method(self.connection.channel, ASSET_SERVICE, "UploadAsset")
        try:
            self.call = method.future(self.messages, metadata=self.connection.metadata)
        except BaseException:  # the connection was closed meanwhile
            self.messages.close()
            raise

    def _result(self) -> assets_pb2.Asset:
        try:
            with self.connection.errors():
                asset: assets_pb2.Asset = self.call.result().asset
                return asset
        finally:
            self.call.cancel()
            self.messages.close()


class UploadMessages(Iterator[UploadMessage]):
    """Header, chunks and finish of one file, read and digested on a thread of gRPC as it asks for them."""

    def __init__(self, path: Path, on_bytes: OnBytes | None, told_bytes: int = 0) -> None:
        self._path = path
        self._on_bytes = on_bytes
        self._file = path.open("rb", buffering=0)
        status = path.stat()
        self.is_file = stat.S_ISREG(status.st_mode)
        # The size of a pipe is not known beforehand.
        self._size_bytes = status.st_size if self.is_file else None
        self._told_bytes = told_bytes
        self._checksum = Checksum()
        self._messages = self._generate()
        self._error: OSError | None = None
        self._is_closing = False
        self._lock = threading.Lock()

    def __next__(self) -> UploadMessage:
        with self._lock:
            try:
                return next(self._messages)
            except OSError as error:
                # Without a finish the gateway keeps nothing; raised here, it would be logged by gRPC and lost.
                self._error = error
                raise StopIteration from error
            finally:
                if self._is_closing:
                    self._close_file()

    def close(self) -> None:
        """Close the file, also while gRPC still asks for more. Raises the OSError that reading met.

        An empty pipe blocks gRPC's thread, which closes the file itself once it returns.
        """
        self._is_closing = True
        if self._lock.acquire(timeout=CLOSE_SECONDS):
            try:
                self._close_file()
            finally:
                self._lock.release()
        if self._error:
            raise self._error

    def again(self) -> "UploadMessages":
        """Return the messages from the first one on; bytes that were told of are not told again."""
        return UploadMessages(self._path, self._on_bytes, self._told_bytes)

    def _close_file(self) -> None:
        self._messages.close()
        self._file.close()

    def _generate(self) -> Generator[UploadMessage, None, None]:
        header = assets_pb2.UploadHeader(filename=sendable(self._path.name), size_bytes=self._size_bytes)
        yield assets_pb2.UploadAssetRequest(header=header)
        while data := self._file.read(CHUNK_BYTES):
            self._checksum.add(data)
            yield UPLOAD.outgoing(data)
            if self._on_bytes and self._checksum.size_bytes > self._told_bytes:
                self._told_bytes = self._checksum.size_bytes
                self._on_bytes(self._told_bytes, self._size_bytes)
        finish = assets_pb2.UploadFinish(size_bytes=self._checksum.size_bytes, sha256=self._checksum.sha256)
        yield assets_pb2.UploadAssetRequest(finish=finish)


@dataclass(frozen=True)
class FileVersion:
    """What differs where a file was changed: a file that is sent in pieces must be the same for all of them."""

    path: Path
    size_bytes: int
    changed_at: int

    @classmethod
    def of(cls, path: Path) -> "FileVersion":
        """Return that of a file as it is now. Raises OSError."""
        status = path.stat()
        return cls(path, status.st_size, status.st_mtime_ns)

    def check(self) -> None:
        """Raise FailedPrecondition once the file was changed."""
        if self.of(self.path) != self:
            text = f"{self.path} was changed while it was sent; upload it again."
            raise FailedPrecondition(text, reason="LOCAL_FILE")


@dataclass
class ResumableUpload:
    """A large file on its way to the gateway. It is digested as it is sent, and the gateway's digest held against
    that."""

    path: Path
    connection: Connection
    on_bytes: OnBytes | None
    version: FileVersion
    checksum: ChecksumBeside
    name: str = ""
    call: Any = None
    told_bytes: int = 0
    error: OSError | FailedPrecondition | None = None
    digesting: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def begin(cls, path: Path, connection: Connection, on_bytes: OnBytes | None) -> "ResumableUpload":
        """Begin to send a file. Raises OSError, and ServiceError where the gateway refuses it."""
        upload = cls(path, connection, on_bytes, FileVersion.of(path), ChecksumBeside())
        try:
            upload._create()
            upload._send(0)
        except BaseException:
            upload.checksum.close()
            raise
        return upload

    def asset(self) -> assets_pb2.Asset:
        """Wait for the end, going on after cuts; return the asset. Raises ServiceError; whatever is raised ends the
        upload, and the gateway keeps nothing where it can be told."""
        retries = Retries(self.connection)
        with local_errors(self.path, "read"), closing(self.checksum):
            try:
                while (asset := self._result(retries)) is None:
                    pass
                self._verify(asset)
            except BaseException:
                self._forget()
                raise
        return asset

    def cancel(self) -> assets_pb2.Asset | None:
        """End the upload; return the asset when it was complete already."""
        self.call.cancel()
        self.checksum.close()
        if self.call.code() is grpc.StatusCode.OK:
            with suppress(ServiceError):
                return self._status()[1]
        self._forget()
        return None

    def _create(self) -> None:
        """Begin an upload at the gateway, of which nothing is kept yet; one alone, however often it is asked."""
        key = ("idempotency-key", str(uuid.uuid4()))
        method = UploadServiceStub(self.connection.channel).CreateUpload
        request = uploads_pb2.CreateUploadRequest(filename=sendable(self.path.name), size_bytes=self.version.size_bytes)
        self.name = self.connection.call_until_answered(method, request, (key,)).upload.name

    def _verify(self, asset: assets_pb2.Asset) -> None:
        """Raise DataLoss where the gateway has other bytes than were sent, and FailedPrecondition where these were not
        those of one file; the gateway keeps nothing then."""
        try:
            with suppress(FileNotFoundError):  # deleted is not changed
                self.version.check()
            self.checksum.whole().verify(str(self.path), size_bytes=asset.size_bytes, sha256=asset.sha256)
        except (DataLoss, FailedPrecondition):
            stub = AssetServiceStub(self.connection.channel)
            with suppress(ServiceError):
                self.connection.call(stub.DeleteAsset, assets_pb2.DeleteAssetRequest(name=asset.name))
            raise

    def _result(self, retries: Retries) -> assets_pb2.Asset | None:
        """Return the asset; None once what was cut is being sent on."""
        failure = self._failure()
        if self.error is not None:
            raise self.error
        note_acceptance(self.connection, self.call)
        if failure is not None and not (may_go_on(failure) and retries.allow()):
            raise failure
        kept_bytes, asset = self._status()
        if asset is None and failure is None:
            text = f"{self.path} became shorter while it was sent; upload it again."
            raise FailedPrecondition(text, reason="LOCAL_FILE")
        if asset is None:
            retries.got_on(kept_bytes)
            self._send(kept_bytes)
        else:
            self._tell(self.version.size_bytes)
        return asset

    def _failure(self) -> ServiceError | None:
        """Wait for the end of the call, and return why it failed, if it did."""
        try:
            with self.connection.errors():
                self.call.result()
        except ServiceError as error:
            return error
        return None

    def _status(self) -> tuple[int, assets_pb2.Asset | None]:
        """Return how much is kept, and the asset where that is all; an upload that the gateway does not know any more
        begins anew."""
        method = UploadServiceStub(self.connection.channel).GetUpload
        try:
            upload = self.connection.call_until_answered(method, uploads_pb2.GetUploadRequest(name=self.name)).upload
        except NotFound:
            self._create()
            return 0, None
        return upload.committed_size, upload.asset if upload.HasField("asset") else None

    def _send(self, offset: int) -> None:
        method = chunk_method(self.connection.channel, BYTE_STREAM, "Write")
        self.call = method.future(self._messages(offset), metadata=self.connection.metadata)

    def _messages(self, offset: int) -> Iterator[WriteRequest | Outgoing[WriteRequest]]:
        name, end, size_bytes = self.name, offset, self.version.size_bytes
        try:
            with self.path.open("rb", buffering=0) as file:
                self.version.check()
                file.seek(offset)
                for data in chunks_of(file):
                    offset, end = end, end + len(data)
                    is_last = end >= size_bytes
                    self._digest(data, offset)
                    yield WRITE.outgoing(data, resource_name=name, write_offset=offset, finish_write=is_last)
                    self._tell(end)
                    if is_last:
                        return
                if end == size_bytes:  # all of it was kept, and the answer lost
                    yield WriteRequest(resource_name=name, write_offset=end, finish_write=True)
        except (OSError, FailedPrecondition) as error:  # raised here, it would be logged by gRPC and lost
            self.error = error

    def _digest(self, data: Data, offset: int) -> None:
        """Digest the bytes at an offset, but for those that were before; two calls may be at it for a moment."""
        with self.digesting:
            known = self.checksum.size_bytes - offset
            if known < len(data):
                self.checksum.add(data[known:] if known else data)

    def _tell(self, sent_bytes: int) -> None:
        """Tell of bytes that were sent, unless they were before."""
        if self.on_bytes and sent_bytes > self.told_bytes:
            self.told_bytes = sent_bytes
            self.on_bytes(sent_bytes, self.version.size_bytes)

    def _forget(self) -> None:
        """Have the gateway keep nothing of the upload, if it can be told."""
        self.call.cancel()
        stub = UploadServiceStub(self.connection.channel)
        with suppress(grpc.RpcError):
            request = uploads_pb2.DeleteUploadRequest(name=self.name)
            stub.DeleteUpload(request, metadata=self.connection.metadata, timeout=END_SECONDS)


def chunks_of(file: FileIO) -> Iterator[memoryview]:
    """Yield the rest of a file in chunks. One is there until the next but one is asked for: memory that is used again
    is not taken from the system, and given back to it, for each chunk."""
    buffers = cycle([memoryview(bytearray(CHUNK_BYTES)) for _ in range(2)])
    for buffer in buffers:
        if not (size_bytes := file.readinto(buffer)):
            return
        yield buffer[:size_bytes]


@contextmanager
def local_errors(path: Path, verb: str) -> Iterator[None]:
    """Raise what the local file system refuses as NotFound or FailedPrecondition."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"cannot {verb} {path}: no such file or folder.", reason="LOCAL_FILE") from error
    except OSError as error:
        raise FailedPrecondition(f"cannot {verb} {path}: {error.strerror or error}.", reason="LOCAL_FILE") from error
