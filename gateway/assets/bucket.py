"""The object store beneath the assets: a local folder, S3, Google Cloud Storage or Azure, by obstore.

An object becomes visible when its writer is closed. In a local folder an unfinished write is a staged file "<path>#1"
beside the object, which a killed process leaves. A cloud keeps the parts of a broken
upload, invisible too, until the bucket's own rule for incomplete multipart uploads deletes them; set such a rule.
"""

import asyncio
import contextlib
import functools
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol
from urllib.parse import quote

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from gateway.assets.cloud_files import PART_BYTES, CloudReader, CloudWriter, WriterRoom
from gateway.assets.local_files import LocalReader, LocalWriter, on_thread, put_object
from gateway.assets.read_budget import ReadBudget
from servicekit.chunks import CHUNK_BYTES, Data
from servicekit.config import ConfigError
from servicekit.disk import FULL, DiskFloor
from servicekit.errors import DataLoss, NotFound, ServiceError, Unavailable

if TYPE_CHECKING:
    from obstore import Attributes

log = structlog.get_logger("gateway.assets")

CLOUDS = ("s3://", "gs://", "az://")
# obstore raises ValueError for paths and ranges, and built-in OSErrors beside its own classes.
OBSTORE_ERRORS = (BaseError, OSError, ValueError)


def storage_floor(folder: Path, min_free_bytes: int | None = None) -> DiskFloor:
    """Return the floor of the disk that files are stored on."""
    text = "The store for files is full; delete assets that are not needed any more, or try again later."
    return DiskFloor(folder, min_free_bytes, text, "STORAGE_FULL")


@contextlib.contextmanager
def object_store_errors(what: str, *, may_be_missing: bool) -> Iterator[None]:
    """Translate errors of obstore that the block raises into ServiceErrors; `what` names the file in their texts.

    Raises NotFound (only where the object `may_be_missing`), ResourceExhausted with reason STORAGE_FULL, Unavailable
    with reason STORAGE_UNAVAILABLE.
    """
    try:
        yield
    except OBSTORE_ERRORS as error:
        raise _translate(what, error, may_be_missing) from error


def _translate(what: str, error: Exception, may_be_missing: bool) -> ServiceError:
    if may_be_missing and isinstance(error, FileNotFoundError):
        return missing_object(what)
    # The texts name paths and hosts of the service: they are for its log alone.
    log.error("asset store failed", file=what, error=str(error).partition("\n")[0], type=type(error).__name__)
    if _errno(error) in FULL:
        return storage_floor(Path()).refusal()
    text = "The store for files cannot be used at present; try again later. The log of the gateway says why."
    return Unavailable(text, reason="STORAGE_UNAVAILABLE")


def missing_object(what: str) -> NotFound:
    """Return the error of a file that is not there, or not for the caller: one does not tell them apart."""
    return NotFound(f"{what} does not exist, or does no longer; upload the file again.", reason="ASSET_NOT_FOUND")


def _errno(error: Exception) -> int:
    if isinstance(error, OSError) and error.errno:
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))  # obstore's own classes have it in their text only
    return int(found[1]) if found else 0


# In a cloud each request costs tens of milliseconds.
LOCAL_READ_BYTES, CLOUD_READ_BYTES = 2 * CHUNK_BYTES, 16 * CHUNK_BYTES


class ObjectWriter(Protocol):
    """Writes one object, which exists once `close` returned; one that failed, or was abandoned, leaves nothing. One of
    `close` and `abandon` ends it."""

    async def write(self, data: Data, beside: Callable[[Data], None] | None = None) -> None:
        """Begin to append bytes, once those before are written; `beside` is called with them on a thread. What goes
        wrong is raised by the next call."""

    async def flush(self) -> None:
        """Wait until all bytes are written."""

    async def close(self) -> None:
        """Make the object of what was written."""

    async def abandon(self) -> None:
        """Leave nothing behind, unless the object exists."""


class ObjectReader(Protocol):
    """Reads ranges of one object, one after the other. Close it."""

    def begin(self, start: int, end: int) -> "asyncio.Future[list[bytes]]":
        """Begin to read the bytes `start` to `end`: in chunks, fewer where the object ends before."""

    async def close(self) -> None:
        """End what is under way."""


class Bucket:
    """Objects by path. Every method raises what `object_store_errors` raises."""

    def __init__(self, location: str, staging_folder: Path | None = None) -> None:
        """Connect to `location`: a folder, created if missing, or s3://…, gs://…, az://….

        A cloud's credentials come from its usual environment variables; what is on its way to one may wait in files in
        `staging_folder`. Raises ConfigError.
        """
        self._folder = None if location.startswith(CLOUDS) else _folder(location)
        self._read_bytes = CLOUD_READ_BYTES if self._folder is None else LOCAL_READ_BYTES
        self._store = _connect(location, self._folder)
        self._budget = ReadBudget()
        self._room = WriterRoom(staging_folder)

    def disk_floor(self, min_free_bytes: int | None) -> DiskFloor | None:
        """Return the floor of the disk beneath a folder; None for a cloud."""
        return storage_floor(self._folder, min_free_bytes) if self._folder is not None else None

    async def put(self, path: str, data: bytes) -> None:
        """Write a small object in one request."""
        with object_store_errors(path, may_be_missing=False):
            await obstore.put_async(self._store, path, data)

    async def close_and_put(self, writer: ObjectWriter, path: str, data: bytes) -> None:
        """Make the object of what a writer has written, and then a small one: in a folder in one turn of a thread."""
        if self._folder is not None and isinstance(writer, LocalWriter):
            await writer.close(functools.partial(put_object, self._folder / path, data))
        else:
            await writer.close()
            await self.put(path, data)

    async def get(self, path: str, what: str) -> bytes:
        """Read a small object; `what` names it in the text of NotFound."""
        with object_store_errors(what, may_be_missing=True):
            if self._folder is not None:
                return await on_thread((self._folder / path).read_bytes)
            found = await obstore.get_async(self._store, path)
            return bytes(await found.bytes_async())

    async def delete(self, path: str) -> None:
        """Delete an object. A missing one is no error, as clouds do not report it."""
        with object_store_errors(path, may_be_missing=False), contextlib.suppress(FileNotFoundError):
            await obstore.delete_async(self._store, path)

    @property
    def is_cloud(self) -> bool:
        """True unless it is a folder."""
        return self._folder is None

    def writer(self, path: str, content_type: str = "", filename: str = "") -> ObjectWriter:
        """Return a writer of a new object. A cloud serves it with that media type and file name, where they are
        given."""
        if self._folder is not None:
            return LocalWriter(self._folder / path)
        opened = functools.partial(
            obstore.open_writer_async,
            self._store,
            path,
            attributes=_attributes(content_type, filename) if content_type else None,
            buffer_size=PART_BYTES,
        )
        return CloudWriter(lambda parts: opened(max_concurrency=parts), self._room)

    async def size(self, path: str, what: str) -> int:
        """Return the bytes of an object; `what` names it in the text of NotFound."""
        with object_store_errors(what, may_be_missing=True):
            return (await obstore.head_async(self._store, path))["size"]

    async def copy(self, source: str, target: str) -> None:
        """Have the bucket copy an object."""
        with object_store_errors(source, may_be_missing=True):
            await obstore.copy_async(self._store, source, target)

    def read(self, path: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Yield bytes `start` to `end` in chunks of CHUNK_BYTES at most; read one window ahead.

        Raises DataLoss when the object ends before `end`.
        """
        return self._read(path, start, end, self._read_bytes, CHUNK_BYTES)

    def windows(self, path: str, start: int, end: int, most_bytes: int) -> AsyncGenerator[bytes, None]:
        """Yield bytes `start` to `end` as they are read, `most_bytes` at a time at the most; see `read`."""
        return self._read(path, start, end, most_bytes, most_bytes)

    async def _read(
        self, path: str, start: int, end: int, most_bytes: int, chunk_bytes: int
    ) -> AsyncGenerator[bytes, None]:
        if start >= end:
            return
        reader = self._reader(path, chunk_bytes)
        try:
            with self._budget.share(min(most_bytes, end - start)) as share:
                position, stop = start, min(start + share.window_bytes(), end)
                ahead = reader.begin(position, stop)
                while position < end:
                    with object_store_errors(path, may_be_missing=True):
                        window = await asyncio.shield(ahead)
                    if sum(map(len, window)) != stop - position:
                        text = f"{path} ends before its recorded size; upload the file again."
                        raise DataLoss(text, reason="ASSET_DAMAGED")
                    position, stop = stop, min(stop + share.window_bytes(), end)
                    if position < end:
                        ahead = reader.begin(position, stop)
                    for chunk in window:
                        yield chunk
                    del window, chunk  # while the next one is awaited
        finally:
            await reader.close()

    def _reader(self, path: str, chunk_bytes: int) -> ObjectReader:
        if self._folder is not None:
            return LocalReader(self._folder / path, chunk_bytes)
        return CloudReader(self._store, path, chunk_bytes)

    async def signed_url(self, path: str, seconds: float, method: Literal["GET", "PUT"] = "GET") -> str | None:
        """Return a link to the object that opens for `seconds`, or takes it; None for a folder, or credentials that
        cannot sign."""
        if self._folder is not None:
            return None
        try:
            # Only clouds come here, and all of CLOUDS can sign.
            return await obstore.sign_async(self._store, method, path, timedelta(seconds=seconds))  # type: ignore[arg-type]
        except OBSTORE_ERRORS as error:
            log.warning("asset store cannot sign links", error=type(error).__name__)
            return None

    async def list_objects(self, prefix: str) -> dict[str, datetime]:
        """Map the names of the objects in the folder `prefix` to the times of their last writes (UTC)."""
        with object_store_errors(prefix, may_be_missing=False):
            return {
                found["path"].rpartition("/")[2]: found["last_modified"]
                async for page in obstore.list(self._store, prefix)
                for found in page
            }

    async def delete_staged(self, prefix: str, name: re.Pattern[str], before: datetime) -> int:
        """Delete staged files in the local folder `prefix` that were last written before then; return their number."""
        if self._folder is None:
            return 0
        with object_store_errors(prefix, may_be_missing=False):
            return await asyncio.to_thread(_delete_staged, self._folder / prefix, name, before)


def _attributes(content_type: str, filename: str) -> "Attributes":
    """Return what a cloud serves an object with. Source: RFC 6266, RFC 8187."""
    name = f"; filename*=UTF-8''{quote(filename, safe='')}" if filename else ""
    return {"Content-Type": content_type, "Content-Disposition": f"inline{name}"}


def _folder(location: str) -> Path:
    return Path(location.removeprefix("file://")).expanduser().absolute()


def _connect(location: str, folder: Path | None) -> ObjectStore:
    if folder is not None and "://" in location.removeprefix("file://"):
        raise ConfigError(f"cannot store assets at {location!r}; give a folder or one of {', '.join(CLOUDS)}")
    try:
        return from_url(location) if folder is None else LocalStore(folder, mkdir=True)
    except OBSTORE_ERRORS as error:
        cause = str(error).partition("\n")[0]
        raise ConfigError(f"cannot store assets at {location!r}: {cause}") from error


def _delete_staged(folder: Path, name: re.Pattern[str], before: datetime) -> int:
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
