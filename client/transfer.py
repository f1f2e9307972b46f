"""Files to and from the gateway, whole or not at all: what arrives has the announced size and SHA-256."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from apigpu.v1 import assets_pb2
from apigpu.v1.assets_pb2_grpc import AssetServiceStub
from client.asset import Asset
from client.connection import Connection
from client.localfile import local_errors
from client.source import ASSETS
from client.upload import CHUNK_BYTES, OnBytes, Upload, UploadParts
from rpc.chunks import Tally
from rpc.errors import DataLoss, ServiceError, Unavailable

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
