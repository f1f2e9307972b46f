"""The one writer of an upload: bytes in, parts out, each recorded once it is an object."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime

import structlog

from gateway.assets.parts import PartWriter, read_parts
from gateway.assets.record import AssetPart
from gateway.assets.store import AssetStore
from gateway.uploads import session as steps
from gateway.uploads.checksums import PartChecksum
from gateway.uploads.session import UploadSession
from servicekit.chunks import Checksum, Data
from servicekit.errors import OutOfRange, ServiceError, Unavailable
from servicekit.tasks import run_to_completion, running

log = structlog.get_logger("gateway.uploads")

# A part is written for so long at least, however fast it comes: to note one in the record takes as long as to write
# several MiB, and the bytes behind it wait meanwhile.
PART_SECONDS = 1.0
# Bytes that have come are kept after so long at the latest, though their part is not complete.
SAVE_SECONDS = 5.0
LOOK_SECONDS = 0.5

Extend = Callable[[str, Callable[[UploadSession, datetime], UploadSession]], Awaitable[UploadSession]]


class UploadWriter:
    """Writes on at the end of an upload until its block ends, or another writer takes over.

    `session` is the upload as it is recorded, `digest` that of its bytes where all of them are known here.
    """

    def __init__(
        self,
        assets: AssetStore,
        extend: Extend,
        session: UploadSession,
        digest: Checksum | None,
        checksum: PartChecksum | None,
    ) -> None:
        self.session = session
        # Not told by what is kept and what is written: while a part is made an object, it is neither.
        self._offset = session.offset
        self._assets = assets
        self._extend = extend
        self._checksum = checksum
        self._hasher = checksum.hasher() if checksum else None
        self._received = digest
        self._recorded = digest.copy() if digest else None
        self._part: PartWriter | None = None
        self._part_since = 0.0
        self._closed: list[AssetPart] = []
        self._count = 0
        self._lock = asyncio.Lock()
        self._timer = asyncio.timeout(None)
        self._error: ServiceError | None = None

    @property
    def digest(self) -> Checksum | None:
        """Return the digest of the bytes that are recorded; None where not all of them were seen here."""
        return self._recorded

    @property
    def offset(self) -> int:
        """Return where the next bytes belong."""
        return self._offset

    def give_way(self) -> None:
        """End the block, for a writer that came later."""
        self._end(steps.taken_over())

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Run the block, then keep what has come. Raises Aborted when another writer takes over, Unavailable, and
        InvalidArgument where there is a checksum and it is another."""
        try:
            async with self._timer, running(self._save_in_time()):
                yield
        except BaseException as error:
            if self._error is not None and isinstance(error, TimeoutError):
                await run_to_completion(self._drop())
                raise self._error from error
            with contextlib.suppress(ServiceError):
                await run_to_completion(self._finish(is_complete=False))
            raise
        await run_to_completion(self._finish(is_complete=True))

    async def write(self, data: Data) -> None:
        """Append bytes. Raises OutOfRange for more than were announced, ResourceExhausted, Unavailable."""
        file, end = self.session.file, self.offset + len(data)
        if end > file.size_bytes:
            text = f"{end} bytes came of a file that was announced with {file.size_bytes}; the last ones were not kept."
            raise OutOfRange(text, reason="UPLOAD_TOO_LONG", metadata={"size_bytes": str(file.size_bytes)})
        self._assets.check_room(file.size_bytes, len(data))
        async with self._lock:
            await self._append(data)

    async def _append(self, data: Data) -> None:
        if self._part is None:
            self._count += 1
            name = f"{self.session.writer}-{self._count}"
            self._part = PartWriter(self._assets.bucket, self.session.asset_id, name)
            self._part_since = time.monotonic()
        try:
            await self._part.write(data, self._add_to_digests)
        except ServiceError:
            self._received = None  # it has what is not kept
            raise
        self._offset += len(data)
        if self._is_due(PART_SECONDS, math.inf):
            # Cancelled half-way it would leave open what is recorded.
            await run_to_completion(self._save())

    def _add_to_digests(self, data: Data) -> None:
        """Digest bytes, on a thread. Where that fails they are kept all the same, and read again for their digest."""
        try:
            if self._received is not None:
                self._received.add(data)
            if self._hasher is not None:
                self._hasher.update(data)
        except Exception:
            log.exception("cannot digest the bytes of an upload", upload=self.session.id)
            self._received = None

    async def _save_in_time(self) -> None:
        """Save a part of which no more comes, so that a stalled upload loses nothing with its gateway."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                async with self._lock:
                    if self._is_due(PART_SECONDS, SAVE_SECONDS):
                        await run_to_completion(self._save())
            except ServiceError as error:
                self._end(error)

    def _is_due(self, complete_seconds: float, any_seconds: float) -> bool:
        """Return True for a part that has been written for so long: a complete one, and any."""
        if self._part is None:
            return False
        is_complete = self._part.size_bytes >= self.session.part_bytes
        return time.monotonic() - self._part_since >= (complete_seconds if is_complete else any_seconds)

    def _end(self, error: ServiceError) -> None:
        if self._error is None and not self._timer.expired():
            self._error = error
            with contextlib.suppress(RuntimeError):  # not entered yet, or left
                self._timer.reschedule(0)

    async def _finish(self, *, is_complete: bool) -> None:
        async with self._lock:
            if self._checksum and not is_complete:
                await self._drop()
                return
            if self._checksum:
                try:
                    if self._part is not None:
                        await self._part.flush()
                    self._checksum.verify(self._hasher)
                except ServiceError:
                    await self._drop()
                    raise
            await self._save(is_last=True)

    async def _drop(self) -> None:
        """Forget what has come and is not recorded."""
        part, self._part = self._part, None
        if part is not None:
            await part.abandon()
        closed, self._closed = self._closed, []
        await self._assets.remove_parts(self.session.asset_id, closed)

    async def _save(self, *, is_last: bool = False) -> None:
        """Make an object of the part that is being written, and record it, where no checksum is awaited."""
        if self._part is not None:
            part, self._part = self._part, None
            try:
                self._closed.append(await part.close())
            except ServiceError:
                self._received = None  # it has what is not kept
                raise
        if not self._closed or (self._checksum and not is_last):
            return
        writer, closed = self.session.writer, tuple(self._closed)
        try:
            self.session = await self._extend(
                self.session.key, lambda found, expires_at: steps.extended(found, writer, closed, expires_at)
            )
        except Unavailable:  # it may be recorded all the same
            self._closed, self._recorded = [], None
            raise
        except ServiceError:
            await self._drop()
            raise
        self._closed = []
        self._recorded = self._received.copy() if self._received else None
        await self._merge()

    async def _merge(self) -> None:
        """Put one part in place of many small ones."""
        small = steps.small_parts(self.session)
        if not small:
            return
        self._count += 1
        asset_id, writer = self.session.asset_id, self.session.writer
        merged = PartWriter(self._assets.bucket, asset_id, f"{writer}-{self._count}")
        size_bytes = sum(part.size_bytes for part in small)
        try:
            async with contextlib.aclosing(read_parts(self._assets.bucket, asset_id, small, 0, size_bytes)) as chunks:
                async for data in chunks:
                    await merged.write(data)
            whole = await merged.close()
        except BaseException:
            await merged.abandon()
            raise
        try:
            self.session = await self._extend(
                self.session.key, lambda found, _: steps.merged(found, writer, small, whole)
            )
        except Unavailable:
            raise
        except ServiceError:
            await self._assets.remove_parts(asset_id, [whole])
            raise
        await self._assets.remove_parts(asset_id, small)
