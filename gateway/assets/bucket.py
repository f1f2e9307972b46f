"""The object store beneath the assets: a local folder, S3, Google Cloud Storage or Azure. Only here is obstore spoken.

What is not finished is not visible: an object appears when its writer is closed. On a local folder a write that is
going on is a staged file "<path>#1" beside the object; dropping the writer deletes it, a killed process leaves it. A
cloud keeps the parts of a broken upload, not visible either, until the bucket's own rule for incomplete multipart
uploads deletes them: such a rule must be set on the bucket.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
import structlog
from obstore.store import LocalStore, ObjectStore, from_url

from gateway.assets.errors import VENDOR_ERRORS, object_store_errors
from servicekit.chunks import CHUNK_BYTES
from servicekit.config import ConfigError
from servicekit.errors import DataLoss
from servicekit.tasks import cancel_and_wait

if TYPE_CHECKING:
    from obstore import AsyncWritableFile, Bytes

log = structlog.get_logger("gateway.assets")

CLOUDS = ("s3://", "gs://", "az://")


@dataclass(frozen=True)
class Flow:
    """How bytes move: the size of one read, and of one part of a write with how many parts go at once."""

    read_bytes: int
    part_bytes: int
    parts_at_once: int


# On a disk parts only wait for each other; in a cloud each request costs tens of milliseconds, and S3 takes at most
# 10,000 parts of at least 5 MiB.
LOCAL = Flow(read_bytes=2 * CHUNK_BYTES, part_bytes=4 * CHUNK_BYTES, parts_at_once=1)
CLOUD = Flow(read_bytes=16 * CHUNK_BYTES, part_bytes=16 * CHUNK_BYTES, parts_at_once=3)


@dataclass(frozen=True)
class Entry:
    """An object in a listing: the last part of its path, and when it was written (UTC)."""

    name: str
    modified_at: datetime


class Bucket:
    """Objects by path. Every method raises NotFound, ResourceExhausted and Unavailable as `translated` does."""

    def __init__(self, location: str) -> None:
        """`location`: a folder, made when missing, or s3://…, gs://…, az://…, whose credentials come from the
        environment variables of that cloud. Raises ConfigError."""
        self._folder = None if location.startswith(CLOUDS) else Path(location.removeprefix("file://")).expanduser()
        self._flow = CLOUD if self._folder is None else LOCAL
        self._store = _connected(location, self._folder)

    async def put(self, path: str, data: bytes) -> None:
        """Write a small object at once."""
        with object_store_errors(path, may_be_missing=False):
            await obstore.put_async(self._store, path, data)

    async def get(self, path: str, what: str) -> bytes:
        """Read a small object whole; `what` names it in the text of NotFound."""
        with object_store_errors(what, may_be_missing=True):
            found = await obstore.get_async(self._store, path)
            return bytes(await found.bytes_async())

    async def delete(self, path: str) -> None:
        """Delete an object; none is fine, as clouds do not tell."""
        with object_store_errors(path, may_be_missing=False), contextlib.suppress(FileNotFoundError):
            await obstore.delete_async(self._store, path)

    def writer(self, path: str) -> "AsyncWritableFile":
        """A new object: it is there once the writer is closed; a writer that is dropped leaves nothing."""
        flow = self._flow
        return obstore.open_writer_async(
            self._store, path, buffer_size=flow.part_bytes, max_concurrency=flow.parts_at_once
        )

    async def read(self, path: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Bytes `start` to `end` in chunks of CHUNK_BYTES, the last one excepted; one read goes ahead of the caller.

        Raises DataLoss when the object ends before `end`.
        """
        # Whole ranges, not obstore's stream: that took 5 s of processor time a GiB on a local disk, these take 0.5.
        window_bytes = self._flow.read_bytes
        if start >= end:
            return
        ahead = self._range(path, start, min(start + window_bytes, end))
        try:
            for position in range(start, end, window_bytes):
                with object_store_errors(path, may_be_missing=True):
                    window = memoryview(await ahead)
                if len(window) != min(window_bytes, end - position):
                    raise DataLoss(f"{path} ends before its recorded size; upload the file again.")
                if position + window_bytes < end:
                    ahead = self._range(path, position + window_bytes, min(position + 2 * window_bytes, end))
                for offset in range(0, len(window), CHUNK_BYTES):
                    yield bytes(window[offset : offset + CHUNK_BYTES])
        finally:
            await cancel_and_wait(ahead)

    def _range(self, path: str, start: int, end: int) -> "asyncio.Future[Bytes]":
        return asyncio.ensure_future(obstore.get_range_async(self._store, path, start=start, end=end))

    async def signed_url(self, path: str, seconds: float) -> str | None:
        """A link to the object that opens for `seconds`; None where none can be made: a folder, or a cloud whose
        credentials sign nothing."""
        if self._folder is not None:
            return None
        try:
            # Only clouds come here, and all of CLOUDS can sign.
            return await obstore.sign_async(self._store, "GET", path, timedelta(seconds=seconds))  # type: ignore[call-overload, no-any-return]
        except VENDOR_ERRORS as error:
            log.warning("the store for files signs no links", error=type(error).__name__)
            return None

    async def list(self, prefix: str) -> list[Entry]:
        """The objects in the folder `prefix`."""
        with object_store_errors(prefix, may_be_missing=False):
            return [
                Entry(found["path"].rpartition("/")[2], found["last_modified"])
                async for page in obstore.list(self._store, prefix)
                for found in page
            ]

    async def drop_staged(self, prefix: str, name: re.Pattern[str], before: datetime) -> int:
        """Delete staged files in the local folder `prefix` that were last written to before then; how many."""
        if self._folder is None:
            return 0
        with object_store_errors(prefix, may_be_missing=False):
            return await asyncio.to_thread(_drop_staged, self._folder / prefix, name, before)


def _connected(location: str, folder: Path | None) -> ObjectStore:
    if folder is not None and "://" in location.removeprefix("file://"):
        raise ConfigError(f"cannot store assets at {location!r}; give a folder or one of {', '.join(CLOUDS)}")
    try:
        return from_url(location) if folder is None else LocalStore(folder.absolute(), mkdir=True)
    except VENDOR_ERRORS as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"cannot store assets at {location!r}: {reason}") from error


def _drop_staged(folder: Path, name: re.Pattern[str], before: datetime) -> int:
    count = 0
    for path in folder.glob("*#*"):
        stem, _, number = path.name.rpartition("#")
        if not (name.fullmatch(stem) and number.isdecimal()):
            continue
        try:
            if datetime.fromtimestamp(path.stat().st_mtime, UTC) < before:
                path.unlink()
                count += 1
        except FileNotFoundError:  # its upload ended, or another gateway was faster
            continue
    return count
