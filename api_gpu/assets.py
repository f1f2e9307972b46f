"""Uploads to and downloads from the gateway, complete or not at all: size and SHA-256 are verified."""

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Self

from api_gpu.connection import Connection, Retries
from api_gpu.outcomes import JobRecord
from api_gpu.requests import ASSETS, from_message, local_file, sendable, to_datetime
from api_gpu.uploads import (
    ASSET_SERVICE,
    CHUNK_BYTES,
    RESUMABLE_BYTES,
    FileVersion,
    OnBytes,
    ResumableUpload,
    SingleUpload,
    is_resumable,
    local_errors,
    may_go_on,
)
from apigpu.options import Source
from apigpu.v1 import assets_pb2
from apigpu.v1.assets_pb2_grpc import AssetServiceStub
from servicekit.chunk_messages import ChunkMessage, Received, chunk_method
from servicekit.chunks import ChecksumBeside, Data
from servicekit.errors import DataLoss, NotFound, ServiceError, Unavailable, Unimplemented


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
        """Return the asset that the gateway describes."""
        times = {"created": to_datetime(message.create_time), "expires": to_datetime(message.expire_time)}
        return from_message(cls, message, **times)


DOWNLOAD = ChunkMessage(assets_pb2.DownloadAssetResponse, "chunk")
UPLOADS_AT_ONCE = 4
PAGE_ASSETS = 100
# Of the name of a target: a file's own has 255 bytes at most.
MAX_START_BYTES = 200


class Transfers:
    """Uploads and downloads over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = AssetServiceStub(connection.channel)

    def upload(self, path: Path, on_bytes: OnBytes | None = None) -> Asset:
        """Send a local file. A large one goes on where it was cut, a small one is sent again, where the gateway is back
        within RECONNECT_SECONDS. Raises ServiceError; the gateway keeps nothing of an upload that failed."""
        return Asset.from_message(self._begin(path, on_bytes).asset())

    def upload_all(self, paths: Iterable[Path]) -> list[Asset]:
        """Send local files, UPLOADS_AT_ONCE at a time. When one fails, and on Ctrl-C, those that are known to have
        arrived are deleted, unless another job may have them by now."""
        under_way: deque[SingleUpload | ResumableUpload] = deque()
        assets: list[Asset] = []
        try:
            for path in paths:
                if len(under_way) == UPLOADS_AT_ONCE:
                    assets.append(Asset.from_message(under_way[0].asset()))
                    under_way.popleft()
                under_way.append(self._begin(path))
            assets += [Asset.from_message(upload.asset()) for upload in under_way]
        except BaseException:
            self._delete_all(assets, under_way)
            raise
        return assets

    def resolve(self, sources: Sequence[Source]) -> list[str]:
        """Upload the local files among sources, but for large ones that the gateway has; return the names of all at the
        gateway. Nothing is sent when one cannot be read."""
        check_readable(sources)
        paths = [local_file(source) for source in sources]
        kept = {path: self.kept(path) for path in paths if path}
        missing = (path for path in paths if path and kept[path] is None)
        assets = iter(self.upload_all(missing))
        return [
            (kept[path] or next(assets)).name if path else str(source)
            for source, path in zip(sources, paths, strict=True)
        ]

    def kept(self, path: Path) -> Asset | None:
        """Return an asset of the caller that a local file is, by its name, size and SHA-256, of whose time at least
        half is left; None where there is none, and of a small file, which is sent as soon as it is looked for. A file
        is read only where one of its name and size is there. Raises what `upload` does for one that cannot be read."""
        with local_errors(path, "read"):
            if not is_resumable(path):
                return None
            version = FileVersion.of(path)
            found = self._named_alike(version)
            if not found:
                return None
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if FileVersion.of(path) != version:  # it is being written: what is sent is found out when it is sent
                return None
        same = next((asset for asset in found if asset.sha256 == digest), None)
        try:  # a list may have what was deleted a moment ago
            return self.get(same.name) if same is not None else None
        except ServiceError:
            return None

    def _named_alike(self, version: FileVersion) -> "Sequence[Asset]":
        wanted = assets_pb2.ListAssetsRequest(size_bytes=version.size_bytes, page_size=PAGE_ASSETS)
        try:
            answer = self._connection.call(self._stub.ListAssets, wanted)
        except ServiceError:  # a key that may not list; whatever else it is, the upload tells
            return []
        # A gateway of an earlier version lists files of any size.
        found = [asset for asset in map(Asset.from_message, answer.assets) if asset.size_bytes == version.size_bytes]
        name = sendable(version.path.name)
        return [asset for asset in found if asset.filename == name and lasts(asset, datetime.now(UTC))]

    def _begin(self, path: Path, on_bytes: OnBytes | None = None) -> SingleUpload | ResumableUpload:
        with local_errors(path, "read"):
            if is_resumable(path):
                with suppress(Unimplemented):  # a gateway of an earlier version
                    return ResumableUpload.begin(path, self._connection, on_bytes)
            return SingleUpload.begin(path, self._connection, on_bytes)

    def get(self, name: str) -> Asset:
        """Describe an asset. Raises NotFound."""
        answer = self._connection.call_until_answered(self._stub.GetAsset, assets_pb2.GetAssetRequest(name=name))
        return Asset.from_message(answer.asset)

    def list(self, wanted: assets_pb2.ListAssetsRequest) -> Iterator[Asset]:
        """Yield the assets that are wanted, the newest first; fetched in pages, as they are needed."""
        request = assets_pb2.ListAssetsRequest(page_size=PAGE_ASSETS)
        request.MergeFrom(wanted)
        while True:
            answer = self._connection.call_until_answered(self._stub.ListAssets, request)
            yield from map(Asset.from_message, answer.assets)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    def delete(self, name: str) -> None:
        """Delete an asset. Raises NotFound."""
        self._connection.call(self._stub.DeleteAsset, assets_pb2.DeleteAssetRequest(name=name))

    def _delete_all(self, assets: Iterable[Asset], under_way: Iterable[SingleUpload | ResumableUpload]) -> None:
        late = [Asset.from_message(message) for upload in under_way if (message := upload.cancel())]
        for name in {asset.name for asset in (*assets, *late) if not may_be_shared(asset)}:
            with suppress(ServiceError):
                self.delete(name)

    def download(self, what: str | Asset | JobRecord, target: Path, on_bytes: OnBytes | None = None) -> Path:
        """Write an asset, or the result of an ended job, to `target`, which appears only when it is complete; return
        its path. What came along with the end of its job is not asked for again.

        A broken connection is resumed where it broke. When it stays broken, that is raised (mostly Unavailable) and the
        part that was received is kept beside `target`, for the next call. Raises NotFound, DataLoss, FailedPrecondition
        (local disk).
        """
        name = _asset_name(what)
        if isinstance(what, JobRecord) and what.result:
            return _write_result(what.result, name, target, on_bytes)
        # A gateway that has answered before tells with the first bytes what the asset is.
        asset = None if self._connection.has_answered else self.get(name)
        part = target.with_name(part_name(target.name, name))
        with local_errors(target, "write"):
            try:
                with part.open("ab+", buffering=0) as file, closing(ChecksumBeside()) as checksum:
                    Download(self, name, file, on_bytes, checksum, asset).run(Retries(self._connection))
                part.replace(target)
            except BaseException as error:
                if not (isinstance(error, ServiceError) and may_go_on(error)):
                    part.unlink(missing_ok=True)
                raise
        return target

    def messages(self, name: str, offset: int) -> Iterator[Received[assets_pb2.DownloadAssetResponse]]:
        """Yield what an asset is, then its bytes from `offset` on, until the stream ends, at the end of the asset or
        before."""
        request = assets_pb2.DownloadAssetRequest(name=name, offset=offset)
        method = chunk_method(self._connection.channel, ASSET_SERVICE, "DownloadAsset", DOWNLOAD)
        with self._connection.errors():
            call = method(request, metadata=self._connection.metadata)
            try:
                yield from call
            finally:
                call.cancel()


@dataclass
class Download:
    """One asset into one open file, over as many calls as it takes. What is on disk of it is digested beside."""

    transfers: Transfers
    name: str
    file: FileIO
    on_bytes: OnBytes | None
    checksum: ChecksumBeside
    asset: Asset | None = None

    def run(self, retries: Retries) -> None:
        """Receive until the file is complete. Raises what broke it once `retries` allow no more."""
        self._resume()
        while True:
            try:
                asset = self._receive()
                break
            except ServiceError as error:
                retries.got_on(self.checksum.size_bytes)
                if not (may_go_on(error) and retries.allow()):
                    raise
        self.checksum.whole().verify(self.name, size_bytes=asset.size_bytes, sha256=asset.sha256)

    def _resume(self) -> None:
        """Digest what an earlier download left, unless that cannot be the beginning of this file."""
        if self.file.tell():
            self.asset = self.asset or self.transfers.get(self.name)
            if self.file.tell() >= self.asset.size_bytes:
                self.file.truncate(0)
        self.file.seek(0)
        while data := self.file.read(CHUNK_BYTES):
            self.checksum.add(data)

    def _receive(self) -> Asset:
        for message, data in self.transfers.messages(self.name, self.checksum.size_bytes):
            if message.HasField("asset"):
                self.asset = self.asset or Asset.from_message(message.asset)
            elif self.asset is not None:
                self._add(data, self.asset)
        if self.asset is None or self.checksum.size_bytes < self.asset.size_bytes:
            raise Unavailable(f"{self.name}: the download ended before the file did.", reason="CUT_OFF")
        return self.asset

    def _add(self, chunk: Data, asset: Asset) -> None:
        self.checksum.add(chunk)
        if self.checksum.size_bytes > asset.size_bytes:
            raise DataLoss(f"{self.name}: received more bytes than it has; download it again.")
        view = memoryview(chunk)
        while view:
            view = view[self.file.write(view) :]
        if self.on_bytes:
            self.on_bytes(self.checksum.size_bytes, asset.size_bytes)


def _asset_name(asset: str | Asset | JobRecord) -> str:
    """Return the name of an asset, or of the result of a job. Raises NotFound for a job without one of its own."""
    if isinstance(asset, JobRecord):
        if not asset.asset:
            text = f"Job {asset.id} has no result of its own: it has not completed, or has `clips`, each with an asset."
            raise NotFound(text, reason="NO_RESULT")
        return asset.asset
    return asset.name if isinstance(asset, Asset) else asset


def _write_result(data: bytes, name: str, target: Path, on_bytes: OnBytes | None) -> Path:
    """Write the bytes of an asset that came along with its job to `target`, which appears only when it is complete;
    return its path. Raises NotFound, FailedPrecondition (local disk)."""
    part = target.with_name(part_name(target.name, name))
    with local_errors(target, "write"):
        try:
            part.write_bytes(data)
            part.replace(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    if on_bytes:
        on_bytes(len(data), len(data))
    return target


def may_be_shared(asset: Asset) -> bool:
    """Return True for a file that another run may have found (`Transfers.kept`) since it was stored: it is not deleted
    where no job came of the run that sent it, a dry run or another, and need not be sent again for the next one."""
    return asset.size_bytes >= RESUMABLE_BYTES


def is_sent_for_once(source: Source) -> bool:
    """Return True for a source that is a local file, and was uploaded for one request alone: its name at the gateway
    is nobody else's."""
    path = local_file(source)
    return path is not None and not is_resumable(path)


def lasts(asset: Asset, now: datetime) -> bool:
    """Return True while at least half of the time that an asset is kept is left."""
    if asset.expires is None or asset.created is None:
        return True
    return asset.expires - now >= (asset.expires - asset.created) / 2


def part_name(target: str, asset: str) -> str:
    """Return the name of the file beside a target that holds what is received of an asset: as long as any may be."""
    start = os.fsencode(target)[:MAX_START_BYTES].decode(errors="ignore")
    return f".{start}.{asset.removeprefix(ASSETS)}.part"


def check_readable(sources: Iterable[Source]) -> None:
    """Raise NotFound or FailedPrecondition for the first local file among the sources that cannot be read."""
    for path in filter(None, map(local_file, sources)):
        with local_errors(path, "read"):
            if not path.is_fifo():  # a pipe can be opened once
                path.open("rb").close()
