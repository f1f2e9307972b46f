"""Files to and from the gateway, whole or not at all: what arrives has the announced size and SHA-256."""

import stat
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from apigpu.v1 import assets_pb2
from apigpu.v1.assets_pb2_grpc import AssetServiceStub
from client.asset import Asset
from client.connection import Connection
from client.source import ASSETS
from rpc.chunks import Tally
from rpc.errors import DataLoss, FailedPrecondition, NotFound, Unavailable

# Twice what the services use among themselves: fewer turns of Python for each byte.
CHUNK_BYTES = 1024 * 1024
RESUMES = 5
FIRST_PAUSE_SECONDS = 0.2

OnBytes = Callable[[int, int | None], None]
"""Called with the bytes passed so far and those of the whole file, None where that is not known."""


class Transfers:
    """Uploads and downloads over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = AssetServiceStub(connection.channel)

    def upload(self, path: Path, on_bytes: OnBytes | None = None) -> Asset:
        """Send a local file in one stream. Raises ServiceError; nothing is kept of an upload that failed."""
        with local_errors(path, "read"):
            parts = UploadParts(path, on_bytes)
            call = self._stub.UploadAsset.future(parts, metadata=self._connection.metadata)
            try:
                with self._connection.errors():
                    return Asset.from_message(call.result().asset)
            finally:
                call.cancel()
                parts.close()

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


class UploadParts(Iterator[assets_pb2.UploadAssetRequest]):
    """Header, chunks and finish of one file, read and digested as gRPC asks for them, on a thread of gRPC."""

    def __init__(self, path: Path, on_bytes: OnBytes | None) -> None:
        self._path = path
        self._on_bytes = on_bytes
        self._file = path.open("rb", buffering=0)
        status = path.stat()
        # Of a pipe nobody knows the size beforehand.
        self._size_bytes = status.st_size if stat.S_ISREG(status.st_mode) else None
        self._tally = Tally()
        self._messages = self._made()
        self._error: OSError | None = None
        self._lock = threading.Lock()

    def __next__(self) -> assets_pb2.UploadAssetRequest:
        with self._lock:
            try:
                return next(self._messages)
            except OSError as error:
                # Without a finish the gateway keeps nothing; raised here, it would be logged by gRPC and lost.
                self._error = error
                raise StopIteration from error

    def close(self) -> None:
        """Close the file, also while gRPC still asks for more. Raises the OSError that reading it met."""
        with self._lock:
            self._messages.close()
            self._file.close()
        if self._error:
            raise self._error

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


class Download:
    """One asset into one open file, over as many calls as it takes."""

    def __init__(self, transfers: Transfers, asset: Asset, file: BinaryIO, on_bytes: OnBytes | None) -> None:
        self._transfers = transfers
        self._asset = asset
        self._file = file
        self._on_bytes = on_bytes
        self._tally = Tally()

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
