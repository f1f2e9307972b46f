"""Files to and from the gateway, whole or not at all: what arrives has the announced size and SHA-256."""

import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Self

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from api_gpu.connection import Connection
from api_gpu.source import ASSETS, Source, local_file
from apigpu.v1 import assets_pb2
from apigpu.v1.assets_pb2_grpc import AssetServiceStub
from servicekit.chunks import Checksum
from servicekit.errors import DataLoss, FailedPrecondition, NotFound, ServiceError, Unavailable


@dataclass(frozen=True)
class Asset:
    """A file at the gateway. `name` ("assets/…") serves as the source of any operation; times are UTC."""

    name: str
    filename: str
    content_type: str
    size_bytes: int
    sha256: str
    created: datetime | None
    expires: datetime | None
    download_url: str

    @classmethod
    def from_message(cls, message: assets_pb2.Asset) -> Self:
        """The asset that the gateway describes."""
        return cls(
            name=message.name,
            filename=message.filename,
            content_type=message.content_type,
            size_bytes=message.size_bytes,
            sha256=message.sha256,
            created=to_datetime(message.create_time),
            expires=to_datetime(message.expire_time),
            download_url=message.download_url,
        )


def to_datetime(timestamp: Timestamp) -> datetime | None:
    """The time in UTC; None when it was not given."""
    return timestamp.ToDatetime(tzinfo=UTC) if timestamp.ByteSize() else None


# Twice what the services use among themselves: fewer turns of Python for each byte.
CHUNK_BYTES = 1024 * 1024
CLOSE_SECONDS = 0.5

OnBytes = Callable[[int, int | None], None]
"""Called with the bytes passed so far and those of the whole file, None where that is not known."""


class Upload:
    """A file on its way to the gateway; see Transfers.begin."""

    def __init__(self, path: Path, parts: "UploadParts", call: Any, connection: Connection) -> None:
        self._path = path
        self._parts = parts
        self._call = call
        self._connection = connection

    def asset(self) -> Asset:
        """The asset, once the file is there whole. Raises ServiceError; whatever is raised ends the upload."""
        with local_errors(self._path, "read"):
            try:
                with self._connection.errors():
                    return Asset.from_message(self._call.result().asset)
            finally:
                self._call.cancel()
                self._parts.close()

    def cancel(self) -> Asset | None:
        """End it; the asset when the file was there whole already."""
        self._call.cancel()
        with suppress(OSError):
            self._parts.close()
        return Asset.from_message(self._call.result().asset) if self._call.code() is grpc.StatusCode.OK else None


class UploadParts(Iterator[assets_pb2.UploadAssetRequest]):
    """Header, chunks and finish of one file, read and digested as gRPC asks for them, on a thread of gRPC."""

    def __init__(self, path: Path, on_bytes: OnBytes | None) -> None:
        self._path = path
        self._on_bytes = on_bytes
        self._file = path.open("rb", buffering=0)
        status = path.stat()
        # Of a pipe nobody knows the size beforehand.
        self._size_bytes = status.st_size if stat.S_ISREG(status.st_mode) else None
        self._tally = Checksum()
        self._messages = self._made()
        self._error: OSError | None = None
        self._is_closing = False
        self._lock = threading.Lock()

    def __next__(self) -> assets_pb2.UploadAssetRequest:
        with self._lock:
            try:
                return next(self._messages)
            except OSError as error:
                # Without a finish the gateway keeps nothing; raised here, it would be logged by gRPC and lost.
                self._error = error
                raise StopIteration from error
            finally:
                if self._is_closing:
                    self._shut()

    def close(self) -> None:
        """Close the file, also while gRPC still asks for more. Raises the OSError that reading it met.

        A pipe that gives nothing holds gRPC's thread; it closes the file itself then, when it comes out.
        """
        self._is_closing = True
        if self._lock.acquire(timeout=CLOSE_SECONDS):
            try:
                self._shut()
            finally:
                self._lock.release()
        if self._error:
            raise self._error

    def _shut(self) -> None:
        self._messages.close()
        self._file.close()

    def _made(self) -> Generator[assets_pb2.UploadAssetRequest, None, None]:
        header = assets_pb2.UploadHeader(filename=self._path.name, size_bytes=self._size_bytes)
        yield assets_pb2.UploadAssetRequest(header=header)
        while data := self._file.read(CHUNK_BYTES):
            self._tally.add(data)
            yield assets_pb2.UploadAssetRequest(chunk=data)
            if self._on_bytes:
                self._on_bytes(self._tally.size_bytes, self._size_bytes)
        finish = assets_pb2.UploadFinish(size_bytes=self._tally.size_bytes, sha256=self._tally.sha256)
        yield assets_pb2.UploadAssetRequest(finish=finish)


UPLOADS_AT_ONCE = 4
RESUMES = 5
FIRST_PAUSE_SECONDS = 0.2


class Transfers:
    """Uploads and downloads over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = AssetServiceStub(connection.channel)

    def upload(self, path: Path, on_bytes: OnBytes | None = None) -> Asset:
        """Send a local file in one stream. Raises ServiceError; nothing is kept of an upload that failed."""
        return self.begin(path, on_bytes).asset()

    def upload_all(self, paths: Iterable[Path]) -> list[Asset]:
        """Send local files, UPLOADS_AT_ONCE at a time. When one fails, and on Ctrl-C, those that are known to have
        arrived are deleted."""
        under_way: deque[Upload] = deque()
        assets: list[Asset] = []
        try:
            for path in paths:
                if len(under_way) == UPLOADS_AT_ONCE:
                    assets.append(under_way[0].asset())
                    under_way.popleft()
                under_way.append(self.begin(path))
            assets += [upload.asset() for upload in under_way]
        except BaseException:
            self._forget(assets, under_way)
            raise
        return assets

    def begin(self, path: Path, on_bytes: OnBytes | None = None) -> Upload:
        """Begin to send a local file in one stream. Raises NotFound and FailedPrecondition for what cannot be read."""
        with local_errors(path, "read"):
            parts = UploadParts(path, on_bytes)
        call = self._stub.UploadAsset.future(parts, metadata=self._connection.metadata)
        return Upload(path, parts, call, self._connection)

    def get(self, name: str) -> Asset:
        """Describe an asset. Raises NotFound."""
        with self._connection.errors():
            request = assets_pb2.GetAssetRequest(name=name)
            answer = self._stub.GetAsset(request, metadata=self._connection.metadata)
        return Asset.from_message(answer.asset)

    def delete(self, name: str) -> None:
        """Delete an asset. Raises NotFound."""
        with self._connection.errors():
            self._stub.DeleteAsset(assets_pb2.DeleteAssetRequest(name=name), metadata=self._connection.metadata)

    def _forget(self, assets: Iterable[Asset], under_way: Iterable[Upload]) -> None:
        late = [upload.cancel() for upload in under_way]
        for name in {asset.name for asset in (*assets, *late) if asset}:
            with suppress(ServiceError):
                self.delete(name)

    def download(self, name: str, target: Path, on_bytes: OnBytes | None = None) -> Path:
        """Write an asset to `target`, which appears only when it is whole; its path.

        A broken connection is taken up again where it broke. When it stays broken, Unavailable is raised and what
        came is kept beside `target`, for the next call. Raises NotFound, DataLoss, FailedPrecondition (local disk).
        """
        asset = self.get(name)
        part = target.with_name(f".{target.name}.{name.removeprefix(ASSETS)}.part")
        with local_errors(target, "write"):
            try:
                with part.open("ab+") as file:
                    Download(self, asset, file, on_bytes).run()
                part.replace(target)
            except Unavailable:
                raise
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        return target

    def chunks(self, name: str, offset: int) -> Iterator[bytes]:
        """The bytes of an asset from `offset` on, until the stream ends, whole or not."""
        request = assets_pb2.DownloadAssetRequest(name=name, offset=offset)
        with self._connection.errors():
            call = self._stub.DownloadAsset(request, metadata=self._connection.metadata)
            try:
                for message in call:
                    if message.WhichOneof("part") == "chunk":
                        yield message.chunk
            finally:
                call.cancel()


class Download:
    """One asset into one open file, over as many calls as it takes."""

    def __init__(self, transfers: Transfers, asset: Asset, file: BinaryIO, on_bytes: OnBytes | None) -> None:
        self._transfers = transfers
        self._asset = asset
        self._file = file
        self._on_bytes = on_bytes
        self._tally = Checksum()

    def run(self) -> None:
        """Receive until the file is whole. Raises Unavailable after RESUMES calls in a row that gave no byte."""
        self._take_up()
        failures = 0
        while True:
            before = self._tally.size_bytes
            try:
                self._receive()
                break
            except Unavailable:
                failures = 0 if self._tally.size_bytes > before else failures + 1
                if failures > RESUMES:
                    raise
                time.sleep(FIRST_PAUSE_SECONDS * 2**failures)
        self._tally.verify(self._asset.name, size_bytes=self._asset.size_bytes, sha256=self._asset.sha256)

    def _take_up(self) -> None:
        """Digest what an earlier download left, unless it cannot be the beginning of this file."""
        if self._file.tell() >= self._asset.size_bytes:
            self._file.truncate(0)
        self._file.seek(0)
        while data := self._file.read(CHUNK_BYTES):
            self._tally.add(data)

    def _receive(self) -> None:
        for chunk in self._transfers.chunks(self._asset.name, self._tally.size_bytes):
            self._file.write(chunk)
            self._tally.add(chunk)
            if self._tally.size_bytes > self._asset.size_bytes:
                raise DataLoss(f"{self._asset.name}: more bytes came than it has; download it again.")
            if self._on_bytes:
                self._on_bytes(self._tally.size_bytes, self._asset.size_bytes)
        if self._tally.size_bytes < self._asset.size_bytes:
            raise Unavailable(f"{self._asset.name}: the download ended before the file did.", reason="CUT_OFF")


@contextmanager
def local_errors(path: Path, doing: str) -> Iterator[None]:
    """Raise what the local file system refuses as NotFound or FailedPrecondition."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"cannot {doing} {path}: no such file or folder.", reason="LOCAL_FILE") from error
    except OSError as error:
        raise FailedPrecondition(f"cannot {doing} {path}: {error.strerror or error}.", reason="LOCAL_FILE") from error


def check_readable(sources: Iterable[Source]) -> None:
    """Raises NotFound or FailedPrecondition for the first local file among them that cannot be read."""
    for path in filter(None, map(local_file, sources)):
        with local_errors(path, "read"):
            if not path.is_fifo():  # a pipe can be opened once
                path.open("rb").close()
