"""The asset store: files by unguessable ids, each with a record that is written once its content is complete.

A file without a record is not an asset but a leftover of a dead upload; `sweep` deletes it.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from gateway.assets.account import StorageAccount
from gateway.assets.bucket import Bucket, ObjectWriter, object_store_errors
from gateway.assets.known import KnownAssets, checked
from gateway.assets.parts import object_paths, part_owner, part_path, read_parts
from gateway.assets.record import ID, PREFIX, AssetPart, StoredAsset, clean_filename, new_id
from gateway.assets.record import content_type as media_type
from gateway.callers import DEFAULT_TENANT
from servicekit.chunks import CHUNK_BYTES, Checksum, Data
from servicekit.codec import to_json
from servicekit.errors import DataLoss, InvalidArgument, NotFound, ResourceExhausted, ServiceError

__all__ = ["AssetStore", "AssetWriter", "StoredAsset"]

# Of the space that uploads must leave free, what results must.
RESULT_FLOOR_SHARE = 0.5
# What is copied within the store is read and written so many bytes at a time.
COPIED_BYTES = 8 * CHUNK_BYTES
# Results that are composed of others at once, by all tasks: each holds some MiB that were read ahead.
COMPOSED_AT_ONCE = 8
# No upload stays open for so long; a younger one may be in progress, here or in another gateway.
ABANDONED_AFTER = timedelta(hours=6)
# Patterns of the names of staged files, by folder.
STAGED = {
    PREFIX: re.compile(rf"{ID.pattern}(\.[a-z2-7]{{8}}-[0-9]+)?"),
    "records": re.compile(rf"{ID.pattern}\.json"),
}


class AssetListener(Protocol):
    """Takes in that a file was stored, or deleted."""

    def __call__(self, asset_id: str, *, is_stored: bool) -> None: ...


def record_path(asset_id: str) -> str:
    """Return the path of the record; that of the bytes is the asset's own name, as errors show it."""
    return f"records/{asset_id}.json"


class AssetStore:
    """Files that clients upload and that jobs make. Every method may raise Unavailable when the bucket fails."""

    def __init__(
        self, location: str | Bucket, *, retention_seconds: float, max_bytes: int, min_free_bytes: int | None = None
    ) -> None:
        """Open the store in a bucket, or at a location of any form that Bucket accepts. Of a folder's disk
        `min_free_bytes` stay free, see DiskFloor. Raises ConfigError."""
        self.bucket = location if isinstance(location, Bucket) else Bucket(location)
        self.floor = self.bucket.disk_floor(min_free_bytes)
        self.retention = timedelta(seconds=retention_seconds)
        self.max_bytes = max_bytes
        # Returns the ids of the assets to be of uploads that are not whole yet.
        self.unfinished: Callable[[], Awaitable[Collection[str]]] = _none
        self.account = StorageAccount()
        # The records that this gateway wrote a moment ago.
        self.known = KnownAssets()
        # Held while a result is composed of others.
        self.composing = asyncio.Semaphore(COMPOSED_AT_ONCE)
        # Told of each file that this gateway has stored, or deleted.
        self.listeners: list[AssetListener] = []

    def check_room(self, size_bytes: int, missing_bytes: int, share: float = 1.0) -> None:
        """Raise ResourceExhausted for a file over the limit, or one for whose missing bytes the disk has no room."""
        if size_bytes > self.max_bytes:
            raise ResourceExhausted(
                f"The file is larger than the {self.max_bytes} bytes allowed here; send a smaller one.",
                reason="ASSET_TOO_LARGE",
                metadata={"max_bytes": str(self.max_bytes)},
            )
        if self.floor is not None:
            self.floor.check(missing_bytes, share=share)

    @asynccontextmanager
    async def create(
        self,
        filename: str,
        content_type: str = "",
        asset_id: str = "",
        *,
        is_result: bool = False,
        tenant: str = DEFAULT_TENANT,
    ) -> AsyncIterator["AssetWriter"]:
        """Open a writer of a new file of a tenant; without a commit the file is discarded at the end of the block.

        `filename` is cleaned of folders and control characters; without `content_type` its suffix decides the type.
        `asset_id`, from `new_id`, is for callers that need the id before the file exists. A result may take half of the
        space that uploads must leave free: work is done for it already.
        """
        name = clean_filename(filename)
        kind = media_type(name, content_type)
        writer = AssetWriter(self, asset_id or new_id(), name, kind, is_result=is_result, tenant=tenant)
        try:
            yield writer
        finally:
            await writer.discard()

    def check_room_for_results(self) -> None:
        """Raise ResourceExhausted while results are refused for want of space."""
        if self.floor is not None and not self.has_room_for_results:
            raise self.floor.refusal()

    @property
    def has_room_for_results(self) -> bool:
        """False while results are refused for want of space."""
        return self.floor is None or self.floor.has_room(RESULT_FLOOR_SHARE)

    async def describe(self, asset_id: str, tenant: str | None = None) -> StoredAsset:
        """Return the record of a tenant's file (None: whoever's). Raises NotFound (also once it has expired, and for
        one of another tenant) and DataLoss (the record is damaged)."""
        return checked(await self._record(asset_id), tenant)

    async def find(self, asset_id: str, tenant: str | None = None) -> StoredAsset:
        """Return the record of a tenant's file that is about to be read, as `describe` does; one that was written here
        a moment ago as it is remembered. Records do not change, and that another gateway deleted the file is told by
        `read`. For another tenant a remembered file takes the look at the store that an unknown one takes."""
        known = self.known.get(asset_id)
        if known is None or tenant not in (None, known.tenant):
            return await self.describe(asset_id, tenant)
        return checked(known, tenant)

    async def read(
        self, known: str | StoredAsset, offset: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Yield `length` bytes (or all) of a file, by its id or its record, from `offset` on, in chunks of CHUNK_BYTES
        at most.

        A length beyond the end means up to the end. Raises NotFound, InvalidArgument (offset beyond the end) and
        DataLoss (the content is shorter than recorded).
        """
        asset = known if isinstance(known, StoredAsset) else await self.describe(known)
        if not 0 <= offset <= asset.size_bytes or (length is not None and length < 0):
            raise InvalidArgument(
                f"{asset.name} has {asset.size_bytes} bytes; an offset of {offset} is beyond them.",
                reason="OFFSET_OUT_OF_RANGE",
                metadata={"size_bytes": str(asset.size_bytes)},
            )
        end = asset.size_bytes if length is None else min(offset + length, asset.size_bytes)
        content = (
            read_parts(self.bucket, asset.id, asset.parts, offset, end)
            if asset.parts
            else self.bucket.read(PREFIX + asset.id, offset, end)
        )
        async with aclosing(content) as chunks:
            async for chunk in chunks:
                yield chunk

    def windows(self, asset: StoredAsset, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Return a range of a file in large pieces, for copying within the store; see `read`."""
        if asset.parts:
            return self.read(asset, start, end - start)
        return self.bucket.windows(PREFIX + asset.id, start, end, COPIED_BYTES)

    async def signed_url(self, asset_id: str, seconds: float, tenant: str | None = None) -> str | None:
        """Return a link by which the bucket itself serves a tenant's file; None for a bucket that cannot, and for one
        in several parts. Raises NotFound."""
        paths = object_paths(await self.describe(asset_id, tenant))
        return await self.bucket.signed_url(paths[0], seconds) if len(paths) == 1 else None

    async def add(self, asset: StoredAsset) -> None:
        """Make a file whose parts are there an asset; again where it is one already."""
        await self.bucket.put(record_path(asset.id), to_json(asset))
        self.stored(asset)

    def stored(self, asset: StoredAsset) -> None:
        """Take in that a file and its record are there."""
        self.known.add(asset)
        self.tell(asset.id, is_stored=True)

    def tell(self, asset_id: str, *, is_stored: bool) -> None:
        """Tell that a file was stored, or deleted."""
        for listener in self.listeners:
            listener(asset_id, is_stored=is_stored)

    async def delete(self, asset_id: str, tenant: str | None = None) -> None:
        """Delete a tenant's file (None: whoever's). Raises NotFound."""
        with contextlib.suppress(DataLoss):  # a damaged record is a reason to delete, not to refuse
            await self.describe(asset_id, tenant)
        await self.remove(asset_id)

    async def remove(self, asset_id: str) -> None:
        """Delete what there is of a file, the record first."""
        paths, asset = [PREFIX + asset_id], None
        self.known.forget(asset_id)
        with contextlib.suppress(NotFound, DataLoss):
            asset = await self._record(asset_id)
            paths = object_paths(asset)
        await self.bucket.delete(record_path(asset_id))
        self.tell(asset_id, is_stored=False)
        if asset is not None:
            await self.account.remove(asset_id, asset.tenant, asset.size_bytes)
        for path in paths:
            await self.bucket.delete(path)

    async def sizes(self) -> AsyncGenerator[tuple[str, str, int], None]:
        """Yield id, tenant and size of each file, by a look at each record."""
        for asset_id in await self.record_times():
            with contextlib.suppress(NotFound, DataLoss):  # deleted meanwhile, or damaged
                asset = await self._record(asset_id)
                yield asset.id, asset.tenant, asset.size_bytes

    async def record_times(self) -> dict[str, datetime]:
        """Map the ids of all files to the times when their records were written (UTC)."""
        listed = await self.bucket.list_objects("records")
        return {name.removesuffix(".json"): written_at for name, written_at in listed.items()}

    async def remove_parts(self, asset_id: str, parts: Collection[AssetPart]) -> None:
        """Delete parts that no record has any more; what cannot be deleted now the sweep deletes later."""
        for part in parts:
            with contextlib.suppress(ServiceError):
                await self.bucket.delete(part_path(asset_id, part.name))

    async def remove_unfinished(self, asset_ids: Collection[str]) -> None:
        """Delete whatever there is of files in parts that were never whole, also what no record tells of."""
        for name in await self.bucket.list_objects(PREFIX):
            if part_owner(name) in asset_ids:
                await self._try_delete_object(PREFIX + name)
        staged = re.compile(rf"({'|'.join(map(re.escape, asset_ids))})\..*")
        await self.bucket.delete_staged(PREFIX, staged, datetime.now(UTC))

    async def sweep(self) -> int:
        """Delete expired files and leftovers of dead uploads; return how many there were of both.

        Uploads in progress, here or in another gateway, are younger than ABANDONED_AFTER and stay.
        """
        now = datetime.now(UTC)
        # Contents first, uploads next: what becomes an asset between the listings must not look like a leftover.
        contents = await self.bucket.list_objects(PREFIX)
        unfinished = await self.unfinished()
        records = await self.record_times()
        deleted = 0
        for asset_id, written_at in records.items():
            # A record is as old as its file: only those old enough to have expired need to be read.
            if now - written_at >= self.retention and await self._is_expired(asset_id, now):
                deleted += await self._try_delete(asset_id)
        for name, written_at in contents.items():
            owner = part_owner(name)
            is_needed = owner in records or owner in unfinished
            if not is_needed and now - written_at >= ABANDONED_AFTER and ID.fullmatch(owner):
                deleted += await self._try_delete_object(PREFIX + name)
        for prefix, staged in STAGED.items():
            deleted += await self.bucket.delete_staged(prefix, staged, now - ABANDONED_AFTER)
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
            await self.remove(asset_id)
            return True
        return False

    async def _try_delete_object(self, path: str) -> bool:
        with contextlib.suppress(ServiceError):
            await self.bucket.delete(path)
            return True
        return False


async def _none() -> Collection[str]:
    return ()


@dataclass(eq=False)
class AssetWriter:
    """Accepts the bytes in order, then one `commit`. AssetStore.create opens it, and discards it without a commit."""

    store: AssetStore
    id: str
    filename: str
    content_type: str
    is_result: bool = False
    charset: str = ""
    tenant: str = DEFAULT_TENANT
    index_bytes: int = 0
    size_bytes: int = 0
    # Of what is written, which lags behind what came.
    _checksum: Checksum = field(default_factory=Checksum)
    # Bytes that are on the tenant's account.
    _accounted_bytes: int = 0
    _committing: asyncio.Task[StoredAsset] | None = None
    _is_committed: bool = False

    def __post_init__(self) -> None:
        self._bucket_type = self.content_type if self.store.bucket.is_cloud else ""
        self._file: ObjectWriter | None = self.store.bucket.writer(PREFIX + self.id, self._bucket_type, self.filename)

    def check_size(self, size_bytes: int) -> None:
        """Raise ResourceExhausted for a size over the limit, one for which the disk has no room, or one that the tenant
        may not have."""
        share = RESULT_FLOOR_SHARE if self.is_result else 1.0
        self.store.check_room(size_bytes, size_bytes - self.size_bytes, share)
        if (more := size_bytes - self._accounted_bytes) > 0:
            if not self.is_result:
                self.store.account.check(self.tenant, more)
            self._put_on_account(more)

    def _put_on_account(self, change_bytes: int) -> None:
        self.store.account.add(self.tenant, change_bytes)
        self._accounted_bytes += change_bytes

    async def write(self, data: Data) -> None:
        """Begin to append bytes, once those before are written. Raises Unavailable, for these or those before, and
        ResourceExhausted over the limit."""
        self.check_size(self.size_bytes + len(data))
        with object_store_errors(PREFIX + self.id, may_be_missing=False):
            await self._opened().write(data, self._checksum.add)
        self.size_bytes += len(data)

    async def checksum(self) -> Checksum:
        """Return the size and digest of all bytes so far, once they are written. Raises Unavailable,
        ResourceExhausted."""
        with object_store_errors(PREFIX + self.id, may_be_missing=False):
            await self._opened().flush()
        return self._checksum

    def _opened(self) -> ObjectWriter:
        if self._file is None:
            raise RuntimeError("used after the end of AssetStore.create")
        return self._file

    def rename(self, filename: str, content_type: str = "") -> None:
        """Replace the name and the media type; without `content_type` the name's suffix decides the type."""
        self.filename = clean_filename(filename)
        self.content_type = media_type(self.filename, content_type)

    async def commit(self, *, size_bytes: int | None = None, sha256: str = "") -> StoredAsset:
        """Make the file an asset. Raises DataLoss when it differs from the size and digest announced, if any."""
        checksum = await self.checksum()
        checksum.verify(self.filename or "The file", size_bytes=size_bytes, sha256=sha256)
        # A task of its own, so that a cancelled commit leaves a known state to clean up.
        self._put_on_account(self.size_bytes - self._accounted_bytes)
        self._committing = asyncio.create_task(self._commit(self._opened()))
        asset = await asyncio.shield(self._committing)
        self._is_committed = True
        return asset

    async def _commit(self, file: ObjectWriter) -> StoredAsset:
        now = datetime.now(UTC)
        asset = StoredAsset(
            id=self.id,
            filename=self.filename,
            content_type=self.content_type,
            size_bytes=self.size_bytes,
            sha256=self._checksum.sha256,
            created_at=now,
            expires_at=now + self.store.retention,
            charset=self.charset,
            tenant=self.tenant,
            bucket_type=self._bucket_type,
            index_bytes=self.index_bytes,
        )
        with object_store_errors(PREFIX + self.id, may_be_missing=False):
            await self.store.bucket.close_and_put(file, record_path(asset.id), to_json(asset))
        self.store.stored(asset)
        return asset

    async def discard(self) -> None:
        """Delete the file unless it was committed; the sweep deletes later what cannot be deleted now."""
        file, self._file = self._file, None
        if self._is_committed:
            return
        if self._committing is not None:
            await asyncio.gather(self._committing, return_exceptions=True)
        if file is not None:
            await file.abandon()
        if self._committing is None:
            self._put_on_account(-self._accounted_bytes)
            return
        # Here, as nobody knows whether there is a record: where there is, `remove` counts no more.
        await self.store.account.remove(self.id, self.tenant, self._accounted_bytes)
        with contextlib.suppress(ServiceError):
            await self.store.remove(self.id)
