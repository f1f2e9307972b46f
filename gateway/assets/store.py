"""The asset store: files by unguessable ids, each with a record that is written once its content is complete.

What has no record is not an asset, whatever happened to whoever wrote it; `sweep` deletes such leftovers.
"""

import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta

from gateway.assets import names
from gateway.assets.bucket import Bucket
from gateway.assets.record import ID, PREFIX, StoredAsset
from gateway.assets.writer import AssetWriter, content_path, record_path
from servicekit.errors import DataLoss, InvalidArgument, NotFound, ServiceError

__all__ = ["AssetStore", "AssetWriter", "StoredAsset"]

# No upload stays open for so long; younger ones may be going on, here or in another gateway.
ABANDONED_AFTER = timedelta(hours=6)
# What staged files in each folder are named after.
STAGED = {PREFIX: ID, "records": re.compile(rf"{ID.pattern}\.json")}


class AssetStore:
    """Files that clients upload and that jobs make. Every method may raise Unavailable when the store beneath fails."""

    def __init__(self, location: str, *, retention_seconds: float, max_bytes: int) -> None:
        """`location` as Bucket takes it. Raises ConfigError."""
        self._bucket = Bucket(location)
        self._retention_seconds = retention_seconds
        self._max_bytes = max_bytes

    @asynccontextmanager
    async def create(self, filename: str, content_type: str = "", asset_id: str = "") -> AsyncIterator[AssetWriter]:
        """A file to write and then to commit; leaving without a commit leaves nothing behind.

        `filename` is cleaned of folders and control characters; without `content_type` its ending tells the type.
        `asset_id`, from `new_id`, is given where the id has to be known before the file is there.
        """
        name = names.clean_filename(filename)
        mime_type = names.content_type(name, content_type)
        writer = AssetWriter(self._bucket, name, mime_type, self._retention_seconds, self._max_bytes, asset_id)
        try:
            yield writer
        finally:
            await writer.discard()

    async def describe(self, asset_id: str) -> StoredAsset:
        """The file's record. Raises NotFound (also once it has expired) and DataLoss (the record is damaged)."""
        asset = await self._record(asset_id)
        if asset.expired():
            text = f"{asset.name} expired at {asset.expires_at:%Y-%m-%d %H:%M:%S} UTC; upload the file again."
            raise NotFound(text, reason="ASSET_EXPIRED")
        return asset

    async def read(self, asset_id: str, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """`length` bytes from `offset` on, without it all, in chunks of CHUNK_BYTES, the last one excepted.

        A length beyond the end means up to the end. Raises NotFound, InvalidArgument (offset beyond the end) and
        DataLoss (the content is shorter than it was).
        """
        asset = await self.describe(asset_id)
        if not 0 <= offset <= asset.size_bytes or (length is not None and length < 0):
            raise InvalidArgument(
                f"{asset.name} has {asset.size_bytes} bytes; an offset of {offset} is beyond them.",
                reason="OFFSET_OUT_OF_RANGE",
                metadata={"size_bytes": str(asset.size_bytes)},
            )
        end = asset.size_bytes if length is None else min(offset + length, asset.size_bytes)
        async with aclosing(self._bucket.read(content_path(asset_id), offset, end)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def signed_url(self, asset_id: str, seconds: float) -> str | None:
        """A link by which the store beneath gives the file's bytes to anybody; None where the store cannot do so.

        Raises NotFound.
        """
        await self.describe(asset_id)
        return await self._bucket.signed_url(content_path(asset_id), seconds)

    async def delete(self, asset_id: str) -> None:
        """Delete the file. Raises NotFound."""
        with contextlib.suppress(DataLoss):  # a damaged record is a reason to delete, not to refuse
            await self.describe(asset_id)
        await self._remove(asset_id)

    async def sweep(self) -> int:
        """Delete files that have expired and what dead uploads left; how many there were of both.

        Uploads that are going on, here or in another gateway, are not touched: they are younger than ABANDONED_AFTER.
        """
        now = datetime.now(UTC)
        # Contents first: one whose record is written between the two listings must not look like a leftover.
        contents = {entry.name: entry.modified_at for entry in await self._bucket.list(PREFIX)}
        records = {entry.name.removesuffix(".json"): entry.modified_at for entry in await self._bucket.list("records")}
        removed = 0
        for asset_id, written_at in records.items():
            # A record is as old as its file: only those old enough to have expired need to be read.
            if _older(written_at, now, self._retention_seconds) and await self._expired(asset_id, now):
                removed += await self._try_remove(asset_id)
        for asset_id, written_at in contents.items():
            if asset_id not in records and _older(written_at, now, ABANDONED_AFTER.total_seconds()):
                removed += await self._try_remove(asset_id)
        for prefix, name in STAGED.items():
            removed += await self._bucket.drop_staged(prefix, name, now - ABANDONED_AFTER)
        return removed

    async def _record(self, asset_id: str) -> StoredAsset:
        if not ID.fullmatch(asset_id):
            raise NotFound(f"There is no asset {asset_id[:80]!r}; upload the file again.", reason="ASSET_NOT_FOUND")
        return StoredAsset.from_json(await self._bucket.get(record_path(asset_id), PREFIX + asset_id))

    async def _expired(self, asset_id: str, now: datetime) -> bool:
        try:
            return (await self._record(asset_id)).expired(now)
        except DataLoss:
            return True
        except ServiceError:  # another gateway was faster, or the store fails: the next sweep will see
            return False

    async def _try_remove(self, asset_id: str) -> bool:
        """One that cannot be deleted must not keep the others."""
        if not ID.fullmatch(asset_id):  # not ours
            return False
        with contextlib.suppress(ServiceError):
            await self._remove(asset_id)
            return True
        return False

    async def _remove(self, asset_id: str) -> None:
        await self._bucket.delete(record_path(asset_id))
        await self._bucket.delete(content_path(asset_id))


def _older(written_at: datetime, now: datetime, seconds: float) -> bool:
    return (now - written_at).total_seconds() >= seconds
