"""Parts of files: an upload that came in several pieces is kept as one object for each, and read as one file.

An object is never written to again, and its name has a token of its writer: two writers cannot mix their bytes.
"""

import base64
import secrets
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing

from gateway.assets.bucket import Bucket, object_store_errors
from gateway.assets.record import PREFIX, AssetPart, StoredAsset
from servicekit.chunks import Data


def part_path(asset_id: str, name: str) -> str:
    """Return the path of a part; part_owner is its inverse."""
    return f"{PREFIX}{asset_id}.{name}"


def object_paths(asset: StoredAsset) -> list[str]:
    """Return the paths of the objects that have a file's bytes."""
    return [part_path(asset.id, part.name) for part in asset.parts] or [PREFIX + asset.id]


def part_owner(object_name: str) -> str:
    """Return the id of the asset that an object in the folder of assets belongs to."""
    return object_name.partition(".")[0]


def new_token() -> str:
    """Return what tells the parts of one writer from those of all others."""
    return base64.b32encode(secrets.token_bytes(5)).decode().lower()


def part_ranges(parts: Sequence[AssetPart], start: int, end: int) -> Iterator[tuple[str, int, int]]:
    """Yield the names of the parts that have the bytes `start` to `end` of the file, with the range in each."""
    offset = 0
    for part in parts:
        first, last = max(start - offset, 0), min(end - offset, part.size_bytes)
        if first < last:
            yield part.name, first, last
        offset += part.size_bytes


async def read_parts(
    bucket: Bucket, asset_id: str, parts: Sequence[AssetPart], start: int, end: int
) -> AsyncGenerator[bytes, None]:
    """Yield the bytes `start` to `end` of a file that is kept in parts."""
    for name, first, last in part_ranges(parts, start, end):
        async with aclosing(bucket.read(part_path(asset_id, name), first, last)) as chunks:
            async for chunk in chunks:
                yield chunk


class PartWriter:
    """Writes one part, which is there once `close` returned; one that failed, or was abandoned, leaves nothing."""

    def __init__(self, bucket: Bucket, asset_id: str, name: str) -> None:
        self.size_bytes = 0
        self._name = name
        self._path = part_path(asset_id, name)
        self._file = bucket.writer(self._path)

    async def write(self, data: Data, beside: Callable[[Data], None] | None = None) -> None:
        """Begin to append bytes, once those before are written; `beside` is called with them on a thread. Raises
        Unavailable, and ResourceExhausted for a full disk, for these bytes or those before."""
        with object_store_errors(self._path, may_be_missing=False):
            await self._file.write(data, beside)
        self.size_bytes += len(data)

    async def flush(self) -> None:
        """Wait until all bytes are written."""
        with object_store_errors(self._path, may_be_missing=False):
            await self._file.flush()

    async def close(self) -> AssetPart:
        """Make the part an object."""
        with object_store_errors(self._path, may_be_missing=False):
            await self._file.close()
        return AssetPart(self._name, self.size_bytes)

    async def abandon(self) -> None:
        """Leave nothing of the part."""
        await self._file.abandon()
