"""Uploads that survive cuts, restarts and gateways: begun, written to, made assets, forgotten.

What is kept of an upload is in its record (KV, changed by compare-and-set) and in the parts that it names, objects in
the asset store. So any gateway can go on.
"""

import asyncio
import contextlib
import functools
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import structlog

from gateway.assets.parts import new_token, read_parts
from gateway.assets.record import StoredAsset, clean_filename, content_type, new_id
from gateway.assets.store import AssetStore
from gateway.jetstream.records import Records
from gateway.uploads import session as steps
from gateway.uploads.checksums import PartChecksum
from gateway.uploads.open_uploads import OpenUploads
from gateway.uploads.session import Announcement, UploadSession
from gateway.uploads.writer import UploadWriter
from servicekit.chunks import Checksum
from servicekit.errors import Aborted, DataLoss, InvalidArgument, NotFound, ResourceExhausted
from servicekit.tasks import cancel_and_wait, run_to_completion

log = structlog.get_logger("gateway.uploads")

# Digests of the bytes so far, so that the parts need not be read again at the end.
MAX_DIGESTS = 1000
# Where a tenant has too many open uploads, the store is asked for them once in so long: no gateway is told of those
# that another one deleted.
LOOK_SECONDS = 5.0


@dataclass(eq=False)
class UploadSessions:
    """The uploads of all gateways. Errors: NotFound (UPLOAD_NOT_FOUND, UPLOAD_EXPIRED), Unavailable, those named."""

    records: Records[UploadSession]
    assets: AssetStore
    lifetime: timedelta
    open: OpenUploads = field(default_factory=OpenUploads)
    # Raises ResourceExhausted for a tenant that may not have so many open uploads and one more; told when the first of
    # them expires.
    check_open: Callable[[str, int, datetime | None], None] = lambda tenant, count, expires_at: None
    look_seconds: float = LOOK_SECONDS
    _looked_at: float = float("-inf")
    _writers: dict[str, UploadWriter] = field(default_factory=dict)
    _digests: "OrderedDict[str, tuple[str, Checksum]]" = field(default_factory=OrderedDict)
    _finishing: "dict[str, asyncio.Task[UploadSession]]" = field(default_factory=dict)

    async def create(self, file: Announcement, tenant: str, session_id: str = "") -> UploadSession:
        """Begin an upload, under an id that the caller chose if any; return the one that has this id if there is one.

        Raises ResourceExhausted (too large, no room, too many are open), AlreadyExists (the id is of another file).
        """
        self.assets.check_room(file.size_bytes, file.size_bytes)
        self.assets.account.check(tenant, file.size_bytes)
        filename = clean_filename(file.filename)
        file = replace(file, filename=filename, content_type=content_type(filename, file.content_type))
        now = datetime.now(UTC)
        session = UploadSession(session_id or new_id(), tenant, new_id(), file, now, now + self.lifetime)
        await self._check_open(tenant)
        try:
            with self.open.beginning(tenant):
                await self.records.create(session.key, session)
            self.assets.account.add(tenant, file.size_bytes)
        except Aborted:  # by another call, in this moment
            session = await self.get(session.id, tenant)
            steps.check_same(session, file)
        return await self.settled(session)

    def count_open(self, tenant: str) -> int:
        """Return how many uploads of a tenant are open, on all gateways."""
        return self.open.count(tenant, datetime.now(UTC))

    async def _check_open(self, tenant: str) -> None:
        """Raise ResourceExhausted where a tenant has as many open uploads as it may."""
        now = datetime.now(UTC)
        try:
            self.check_open(tenant, self.open.count(tenant, now), None)
        except ResourceExhausted:
            if self._looked_at < time.monotonic() - self.look_seconds:
                self._looked_at = time.monotonic()
                await self.records.current_keys()
            self.check_open(tenant, self.open.count(tenant, now), self.open.next_expiry(tenant))

    async def find(self, session_id: str, tenant: str, file: Announcement | None) -> UploadSession:
        """Return an upload, which begins now where `file` is announced by its name. Raises what `create` raises."""
        session = await self.records.get(steps.session_key(tenant, session_id))
        if session is None and file is not None:
            return await self.create(file, tenant, session_id)
        if session is None:
            raise _missing(session_id)
        steps.check_open(session, datetime.now(UTC))
        steps.check_same(session, file)
        return await self.settled(session)

    async def get(self, session_id: str, tenant: str) -> UploadSession:
        """Return an upload."""
        return await self.find(session_id, tenant, None)

    async def asset(self, session: UploadSession) -> StoredAsset | None:
        """Return the asset that an upload became; None before, and once that is deleted."""
        if not session.is_finished:
            return None
        with contextlib.suppress(NotFound, DataLoss):
            return await self.assets.describe(session.asset_id)
        return None

    @contextlib.asynccontextmanager
    async def writing(
        self, session: UploadSession, offset: int, checksum: PartChecksum | None = None
    ) -> AsyncIterator[UploadWriter]:
        """Take an upload over, and write on at `offset`. What came is kept however the block ends, unless it has a
        `checksum`: then all or nothing. Raises Aborted: WRONG_OFFSET, and UPLOAD_TAKEN_OVER in the block."""
        token, before = new_token(), ""

        def take(found: UploadSession) -> UploadSession:
            nonlocal before
            if offset != found.offset:  # a mistake ends nobody's upload
                raise steps.wrong_offset(found, offset)
            before = found.writer
            return steps.taken(found, token, datetime.now(UTC), self._expiry())

        session = await self._update(session.key, take)
        if (older := self._writers.get(session.key)) is not None:
            older.give_way()
        writer = UploadWriter(self.assets, self.extend, session, self._digest(session, before), checksum)
        self._writers[session.key] = writer
        try:
            async with writer.open():
                yield writer
        finally:
            if self._writers.get(session.key) is writer:
                del self._writers[session.key]
            self._keep_digest(writer)

    async def extend(self, key: str, change: Callable[[UploadSession, datetime], UploadSession]) -> UploadSession:
        """Change an upload by a pure step, which is told when it expires from now on. Raises what the step raises."""
        expires_at = self._expiry()
        return await self._update(key, lambda found: change(found, expires_at))

    async def settled(self, session: UploadSession) -> UploadSession:
        """Make an upload whose bytes are all there an asset, if it is none yet. Raises InvalidArgument where the digest
        is another than was announced; nothing is kept then."""
        if session.is_finished or not session.is_whole:
            return session
        work = self._finishing.get(session.key)
        if work is None:
            work = self._finishing[session.key] = asyncio.create_task(self._finish(session))
            work.add_done_callback(functools.partial(self._finish_ended, session.key))
        return await asyncio.shield(work)

    def _finish_ended(self, key: str, work: "asyncio.Task[UploadSession]") -> None:
        del self._finishing[key]
        if not work.cancelled():
            work.exception()  # whoever waits for it is told; where nobody does any more, the next one tries again

    async def close(self) -> None:
        """End what is going on; the next request for an upload goes on with it."""
        await cancel_and_wait(*self._finishing.values())

    async def delete(self, session_id: str, tenant: str) -> None:
        """Forget an upload and what is kept of it; the asset of one that is whole stays."""
        session = await self.records.get(steps.session_key(tenant, session_id))
        if session is None:
            raise _missing(session_id)
        await self._forget(session)

    async def unfinished(self) -> Collection[str]:
        """Return the ids of the assets that uploads are to become; forget those that have expired."""
        # An error must go through: who takes an upload for gone deletes its parts.
        sessions = [await self.records.get(key) for key in await self.records.current_keys()]
        known, now = [session for session in sessions if session is not None], datetime.now(UTC)
        expired = [session for session in known if session.expires_at <= now]
        left = {session.asset_id for session in expired if not await self._forget(session)}
        if left:
            log.info("expired uploads deleted", count=len(left))
            await self.assets.remove_unfinished(left)
        return {session.asset_id for session in known} - left

    async def sizes(self) -> AsyncIterator[tuple[str, str, int]]:
        """Yield the id of the file to be, tenant and announced size of each upload that is not a file yet."""
        for key in await self.records.current_keys():
            session = await self.records.get(key)
            if session is not None and not session.is_finished:
                yield session.asset_id, session.tenant, session.file.size_bytes

    async def _finish(self, session: UploadSession) -> UploadSession:
        checksum = self._digest(session, session.writer) or await self._read_digest(session)
        try:
            name = session.file.filename or "The file"
            checksum.verify(name, size_bytes=session.file.size_bytes, sha256=session.file.sha256)
        except DataLoss as error:
            await self._forget(session)
            raise InvalidArgument(error.message, reason=error.reason) from error
        now = datetime.now(UTC)
        await self.assets.add(steps.to_asset(session, checksum.sha256, now, self.assets.retention))
        self._digests.pop(session.key, None)
        return await self._update(session.key, lambda found: steps.finished(found, self._expiry()))

    async def _read_digest(self, session: UploadSession) -> Checksum:
        checksum = Checksum()
        parts = read_parts(self.assets.bucket, session.asset_id, session.parts, 0, session.offset)
        async with contextlib.aclosing(parts) as chunks:
            async for data in chunks:
                checksum.add(data)
        return checksum

    async def _forget(self, session: UploadSession) -> bool:
        """Delete the record, and what it names unless an asset has it; return whether one has."""
        if (writer := self._writers.get(session.key)) is not None:
            writer.give_way()
        is_asset = session.is_finished or await self._is_asset(session)
        await self.records.delete(session.key)
        self._digests.pop(session.key, None)
        if not is_asset:
            await self.assets.account.remove(session.asset_id, session.tenant, session.file.size_bytes)
            await self.assets.remove_parts(session.asset_id, session.parts)
        return is_asset

    async def _is_asset(self, session: UploadSession) -> bool:
        """Return True for an upload that became an asset, also where a gateway died before it noted that."""
        with contextlib.suppress(DataLoss):
            try:
                await self.assets.describe(session.asset_id)
            except NotFound:
                return False
        return True

    async def _update(self, key: str, change: Callable[[UploadSession], UploadSession]) -> UploadSession:
        # A cancelled compare-and-set would leave open what became of it.
        return await run_to_completion(self.records.update(key, change))

    def _expiry(self) -> datetime:
        return datetime.now(UTC) + self.lifetime

    def _digest(self, session: UploadSession, writer: str) -> Checksum | None:
        """Return the digest of the bytes that are kept, where this gateway has seen all of them."""
        if not session.offset:
            return Checksum()
        known_writer, checksum = self._digests.get(session.key, ("", Checksum()))
        is_known = known_writer == writer and checksum.size_bytes == session.offset
        return checksum.copy() if is_known else None

    def _keep_digest(self, writer: UploadWriter) -> None:
        session, checksum = writer.session, writer.digest
        if checksum is not None and not session.is_finished:
            self._digests[session.key] = session.writer, checksum
            self._digests.move_to_end(session.key)
            if len(self._digests) > MAX_DIGESTS:
                self._digests.popitem(last=False)


def _missing(session_id: str) -> NotFound:
    return NotFound(f"There is no upload {session_id[:64]!r}, or no longer.", reason="UPLOAD_NOT_FOUND")
