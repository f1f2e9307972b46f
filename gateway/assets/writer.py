"""Writing one file into the store."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from gateway.assets.bucket import Bucket, object_store_errors
from gateway.assets.record import PREFIX, StoredAsset, clean_filename
from gateway.assets.record import content_type as media_type
from servicekit.chunks import Checksum
from servicekit.codec import to_json
from servicekit.errors import ResourceExhausted, ServiceError

if TYPE_CHECKING:
    from obstore import AsyncWritableFile


class AssetWriter:
    """Accepts the bytes in order, then one `commit`. AssetStore.create opens it, and discards it without a commit."""

    def __init__(
        self, bucket: Bucket, asset_id: str, filename: str, content_type: str, retention: timedelta, max_bytes: int
    ) -> None:
        self._bucket = bucket
        self._id = asset_id
        self._filename = filename
        self._content_type = content_type
        self._retention = retention
        self._max_bytes = max_bytes
        self._checksum = Checksum()
        self._file: AsyncWritableFile | None = bucket.writer(content_path(asset_id))
        self._committing: asyncio.Task[StoredAsset] | None = None
        self._is_committed = False

    @property
    def size_bytes(self) -> int:
        """Return the number of bytes written so far."""
        return self._checksum.size_bytes

    def check_size(self, size_bytes: int) -> None:
        """Raise ResourceExhausted for a size over the limit."""
        if size_bytes > self._max_bytes:
            raise ResourceExhausted(
                f"The file is larger than the {self._max_bytes} bytes allowed here; send a smaller one.",
                reason="ASSET_TOO_LARGE",
                metadata={"max_bytes": str(self._max_bytes)},
            )

    async def write(self, data: bytes) -> None:
        """Append bytes. Raises Unavailable, and ResourceExhausted over the limit."""
        if self._file is None:
            raise RuntimeError("write after the end of AssetStore.create")
        self.check_size(self._checksum.size_bytes + len(data))
        with object_store_errors(PREFIX + self._id, may_be_missing=False):
            write = self._file.write(data)
            self._checksum.add(data)  # on this thread, while the store's own thread writes the bytes
            await write

    def rename(self, filename: str, content_type: str = "") -> None:
        """Replace the name and the media type; without `content_type` the name's suffix decides the type."""
        self._filename = clean_filename(filename)
        self._content_type = media_type(self._filename, content_type)

    async def commit(self, *, size_bytes: int | None = None, sha256: str = "") -> StoredAsset:
        """Make the file an asset. Raises DataLoss when it differs from the size and digest announced, if any."""
        if self._file is None:
            raise RuntimeError("commit after the end of AssetStore.create")
        self._checksum.verify(self._filename or "The file", size_bytes=size_bytes, sha256=sha256)
        # A task of its own, so that a cancelled commit leaves a known state to clean up.
        self._committing = asyncio.create_task(self._commit(self._file))
        asset = await asyncio.shield(self._committing)
        self._is_committed = True
        return asset

    async def _commit(self, file: "AsyncWritableFile") -> StoredAsset:
        with object_store_errors(PREFIX + self._id, may_be_missing=False):
            await file.close()
        now = datetime.now(UTC)
        asset = StoredAsset(
            id=self._id,
            filename=self._filename,
            content_type=self._content_type,
            size_bytes=self._checksum.size_bytes,
            sha256=self._checksum.sha256,
            created_at=now,
            expires_at=now + self._retention,
        )
        await self._bucket.put(record_path(self._id), to_json(asset))
        return asset

    async def discard(self) -> None:
        """Delete the file unless it was committed; the sweep deletes later what cannot be deleted now."""
        self._file = None  # dropping an open file deletes its staged bytes
        if self._committing is None or self._is_committed:
            return
        await asyncio.gather(self._committing, return_exceptions=True)
        with contextlib.suppress(ServiceError):
            await self._bucket.delete(record_path(self._id))
            await self._bucket.delete(content_path(self._id))


def content_path(asset_id: str) -> str:
    """Return the path of the bytes: the asset's own name, as errors show it."""
    return PREFIX + asset_id


def record_path(asset_id: str) -> str:
    """Return the path of the record."""
    return f"records/{asset_id}.json"
