"""One file on its way to the gateway."""

import stat
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc

from apigpu.v1 import assets_pb2
from client.asset import Asset
from client.connection import Connection
from client.localfile import local_errors
from rpc.chunks import Tally

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
        self._tally = Tally()
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
