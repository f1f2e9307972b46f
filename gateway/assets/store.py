"""The asset store: files by unguessable ids, each with a record that is written once its content is complete.

A file without a record is not an asset but a leftover of a dead upload; `sweep` deletes it.
"""

import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta

from gateway.assets.bucket import Bucket
from gateway.assets.record import ID, PREFIX, StoredAsset, clean_filename, new_id
from gateway.assets.record import content_type as media_type
from gateway.assets.writer import AssetWriter, content_path, record_path
from servicekit.errors import DataLoss, InvalidArgument, NotFound, ResourceExhausted, ServiceError

__all__ = ["AssetStore", "AssetWriter", "StoredAsset", "TransferSlots"]

# No upload stays open for so long; a younger one may be in progress, here or in another gateway.
ABANDONED_AFTER = timedelta(hours=6)
# Patterns of the names of staged files, by folder.
STAGED = {PREFIX: ID, "records": re.compile(rf"{ID.pattern}\.json")}


class AssetStore:
    """Files that clients upload and that jobs make. Every method may raise Unavailable when the bucket fails."""

    def __init__(self, location: str, *, retention_seconds: float, max_bytes: int) -> None:
        """Open the store at `location`, of any form that Bucket accepts. Raises ConfigError."""
        self.bucket = Bucket(location)
        self._retention = timedelta(seconds=retention_seconds)
        self._max_bytes = max_bytes

    @asynccontextmanager
    async def create(self, filename: str, content_type: str = "", asset_id: str = "") -> AsyncIterator[AssetWriter]:
        """Open a writer of a new file; without a commit the file is discarded at the end of the block.

        `filename` is cleaned of folders and control characters; without `content_type` its suffix decides the type.
        `asset_id`, from `new_id`, is for callers that need the id before the file exists.
        """
        name = clean_filename(filename)
        kind = media_type(name, content_type)
        writer = AssetWriter(self.bucket, asset_id or new_id(), name, kind, self._retention, self._max_bytes)
        try:
            yield writer
        finally:
            await writer.discard()

    async def describe(self, asset_id: str) -> StoredAsset:
        """Return the file's record. Raises NotFound (also once it has expired) and DataLoss (the record is damaged)."""
        asset = await self._record(asset_id)
        if asset.is_expired():
            text = f"{asset.name} expired at {asset.expires_at:%Y-%m-%d %H:%M:%S} UTC; upload the file again."
            raise NotFound(text, reason="ASSET_EXPIRED")
        return asset

    async def read(self, asset_id: str, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """Yield `length` bytes (or all) from `offset` on, in chunks of CHUNK_BYTES except the last one.

        A length beyond the end means up to the end. Raises NotFound, InvalidArgument (offset beyond the end) and
        DataLoss (the content is shorter than recorded).
        """
        asset = await self.describe(asset_id)
        if not 0 <= offset <= asset.size_bytes or (length is not None and length < 0):
            raise InvalidArgument(
                f"{asset.name} has {asset.size_bytes} bytes; an offset of {offset} is beyond them.",
                reason="OFFSET_OUT_OF_RANGE",
                metadata={"size_bytes": str(asset.size_bytes)},
            )
        end = asset.size_bytes if length is None else min(offset + length, asset.size_bytes)
        async with aclosing(self.bucket.read(content_path(asset_id), offset, end)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def signed_url(self, asset_id: str, seconds: float) -> str | None:
        """Return a link by which the bucket itself serves the file; None for a bucket that cannot. Raises NotFound."""
        await self.describe(asset_id)
        return await self.bucket.signed_url(content_path(asset_id), seconds)

    async def delete(self, asset_id: str) -> None:
        """Delete the file. Raises NotFound."""
        with contextlib.suppress(DataLoss):  # a damaged record is a reason to delete, not to refuse
            await self.describe(asset_id)
        await self._delete(asset_id)

    async def sweep(self) -> int:
        """Delete expired files and leftovers of dead uploads; return how many there were of both.

        Uploads in progress, here or in another gateway, are younger than ABANDONED_AFTER and stay.
        """
        now = datetime.now(UTC)
        # Contents first: one whose record is written between the two listings must not look like a leftover.
        contents = {found.name: found.modified_at for found in await self.bucket.list_objects(PREFIX)}
        listed = await self.bucket.list_objects("records")
        records = {found.name.removesuffix(".json"): found.modified_at for found in listed}
        deleted = 0
        for asset_id, written_at in records.items():
            # A record is as old as its file: only those old enough to have expired need to be read.
            if now - written_at >= self._retention and await self._is_expired(asset_id, now):
                deleted += await self._try_delete(asset_id)
        for asset_id, written_at in contents.items():
            if asset_id not in records and now - written_at >= ABANDONED_AFTER:
                deleted += await self._try_delete(asset_id)
        for prefix, name in STAGED.items():
            deleted += await self.bucket.delete_staged(prefix, name, now - ABANDONED_AFTER)
        return deleted

    async def _record(self, asset_id: str) -> StoredAsset:
        if not ID.fullmatch(asset_id):
            raise NotFound(f"There is no asset {asset_id[:80]!r}; upload the file again.", reason="ASSET_NOT_FOUND")
        return StoredAsset.from_json(await self.bucket.get(record_path(asset_id), PREFIX + asset_id))

    async def _is_expired(self, asset_id: str, now: datetime) -> bool:
        try:
            return (await self._record(asset_id)).is_expired(now)
        except DataLoss:
            return True
        except ServiceError:  # another gateway was faster, or the store fails: the next sweep tries again
            return False

    async def _try_delete(self, asset_id: str) -> bool:
        if not ID.fullmatch(asset_id):  # not ours
            return False
        with contextlib.suppress(ServiceError):  # a failure must not stop the sweep of the other files
            await self._delete(asset_id)
            return True
        return False

    async def _delete(self, asset_id: str) -> None:
        await self.bucket.delete(record_path(asset_id))
        await self.bucket.delete(content_path(asset_id))


class TransferSlots:
    """A limit on concurrent uploads and downloads, since each holds a few chunks in memory."""

    def __init__(self, max_transfers: int) -> None:
        self.free = max_transfers

    @contextmanager
    def acquire(self) -> Iterator[None]:
        """Hold one slot during the block. Raises ResourceExhausted (BUSY) at once when none is free."""
        if self.free == 0:
            raise ResourceExhausted("Too many uploads and downloads at once; try again in a moment.", reason="BUSY")
        self.free -= 1
        try:
            yield
        finally:
            self.free += 1
