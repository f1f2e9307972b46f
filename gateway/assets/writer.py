"""One file on its way into the store."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from gateway.assets import names
from gateway.assets.bucket import Bucket
from gateway.assets.errors import object_store_errors
from gateway.assets.names import clean_filename
from gateway.assets.record import PREFIX, StoredAsset, new_id
from servicekit.chunks import Checksum
from servicekit.codec import to_json
from servicekit.errors import ResourceExhausted, ServiceError

if TYPE_CHECKING:
    from obstore import AsyncWritableFile


class AssetWriter:
    """Takes the bytes in order, then one `commit`; AssetStore.create makes it, and discards it when none came."""

    def __init__(
        self,
        bucket: Bucket,
        filename: str,
        content_type: str,
        retention_seconds: float,
        max_bytes: int,
        asset_id: str = "",
    ) -> None:
        self._bucket = bucket
        self._id = asset_id or new_id()
        self._filename = filename
        self._content_type = content_type
        self._retention = timedelta(seconds=retention_seconds)
        self._max_bytes = max_bytes
        self._tally = Checksum()
        self._file: AsyncWritableFile | None = bucket.writer(content_path(self._id))
        self._finishing: asyncio.Task[StoredAsset] | None = None
        self._committed = False

    @property
    def size_bytes(self) -> int:
        """Bytes taken so far."""
        return self._tally.size_bytes

    def check(self, size_bytes: int) -> None:
        """Raise ResourceExhausted for a file, or an announced size, over the limit."""
        if size_bytes > self._max_bytes:
            raise ResourceExhausted(
                f"The file is larger than the {self._max_bytes} bytes allowed here; send a smaller one.",
                reason="ASSET_TOO_LARGE",
                metadata={"max_bytes": str(self._max_bytes)},
            )

    async def write(self, data: bytes) -> None:
        """Take the next bytes. Raises ResourceExhausted, of which nothing is then kept, and Unavailable."""
        if self._file is None:
            raise RuntimeError("write after the end of AssetStore.create")
        self.check(self._tally.size_bytes + len(data))
        with object_store_errors(PREFIX + self._id, may_be_missing=False):
            written = self._file.write(data)
            self._tally.add(data)  # on this thread, while the store's own takes the bytes
            await written

    def rename(self, filename: str, content_type: str = "") -> None:
        """Take another name and MIME type than at the start; without a type the name's ending tells it."""
        self._filename = clean_filename(filename)
        self._content_type = names.content_type(self._filename, content_type)

    async def commit(self, *, size_bytes: int | None = None, sha256: str = "") -> StoredAsset:
        """Make the file an asset. None and "" announce nothing; raises DataLoss when what is announced is not true."""
        if self._file is None:
            raise RuntimeError("commit after the end of AssetStore.create")
        self._tally.verify(self._filename or "The file", size_bytes=size_bytes, sha256=sha256)
        # A task of its own, so that a cancelled commit leaves a known state to clean up.
        self._finishing = asyncio.create_task(self._finish(self._file))
        asset = await asyncio.shield(self._finishing)
        self._committed = True
        return asset

    async def _finish(self, file: "AsyncWritableFile") -> StoredAsset:
        with object_store_errors(PREFIX + self._id, may_be_missing=False):
            await file.close()
        now = datetime.now(UTC)
        asset = StoredAsset(
            id=self._id,
            filename=self._filename,
            content_type=self._content_type,
            size_bytes=self._tally.size_bytes,
            sha256=self._tally.sha256,
            created_at=now,
            expires_at=now + self._retention,
        )
        await self._bucket.put(record_path(self._id), to_json(asset))
        return asset

    async def discard(self) -> None:
        """Leave nothing behind, unless it was committed. What cannot be deleted now is left to the sweep."""
        self._file = None  # an open one takes what it staged with it
        if self._finishing is None or self._committed:
            return
        await asyncio.gather(self._finishing, return_exceptions=True)
        with contextlib.suppress(ServiceError):
            await self._bucket.delete(record_path(self._id))
            await self._bucket.delete(content_path(self._id))


def content_path(asset_id: str) -> str:
    """Where the bytes are: the name of the asset itself, as errors show it."""
    return PREFIX + asset_id


def record_path(asset_id: str) -> str:
    """Where the record is."""
    return f"records/{asset_id}.json"
