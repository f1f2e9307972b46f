"""The record of an upload: what was announced, and how much of it is kept. Pure."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from gateway.assets.record import PREFIX as ASSETS
from gateway.assets.record import AssetPart, StoredAsset
from servicekit import codec
from servicekit.errors import Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound

PREFIX = "uploads/"
ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_RESOURCE = re.compile(
    rf"uploads/(?P<id>{ID.pattern})(/blobs/(?P<sha256>[0-9A-Fa-f]{{64}})/(?P<size>[0-9]{{1,18}})(/(?P<filename>.*))?)?",
    re.DOTALL,
)
# A part is complete with so many bytes, of a large file with more: it has about 512 parts then.
PART_BYTES = 16 * 1024 * 1024
MOST_PARTS = 512
# So many parts that are small become one.
MERGED_PARTS = 16
MERGED_BYTES = 2 * PART_BYTES
# Metadata of a Write, and headers of tus: the asset that the upload became, else when it is forgotten (RFC 3339).
UPLOAD_ASSET, UPLOAD_EXPIRES = "upload-asset", "upload-expires"
# What the JSON proxy says of the bytes of one request.
UPLOAD_CHECKSUM = "x-apigpu-upload-checksum"


@dataclass(frozen=True)
class Announcement:
    """What is told of a file before its bytes. `sha256` is hexadecimal, "" where it is not told."""

    size_bytes: int
    filename: str = ""
    content_type: str = ""
    charset: str = ""
    sha256: str = ""
    tus_metadata: str = ""


@dataclass(frozen=True)
class UploadSession:
    """An upload of a tenant, under an id of its own. It becomes the asset `asset_id`.

    The parts that are kept come one after the other. Only the newest writer, named by `writer`, may add to them.
    """

    id: str
    tenant: str
    asset_id: str
    file: Announcement
    created_at: datetime
    expires_at: datetime
    parts: tuple[AssetPart, ...] = ()
    writer: str = ""
    is_finished: bool = field(default=False, metadata=codec.SPARSE)

    @property
    def name(self) -> str:
        """Return "uploads/<id>", the name that callers use."""
        return PREFIX + self.id

    @property
    def asset_name(self) -> str:
        """Return the name of the asset that the upload becomes."""
        return ASSETS + self.asset_id

    @property
    def key(self) -> str:
        """Return the key of the record."""
        return session_key(self.tenant, self.id)

    @property
    def offset(self) -> int:
        """Return how many bytes are kept."""
        return self.file.size_bytes if self.is_finished else sum(part.size_bytes for part in self.parts)

    @property
    def is_whole(self) -> bool:
        """Return True once all bytes are kept."""
        return self.offset == self.file.size_bytes

    @property
    def part_bytes(self) -> int:
        """Return the bytes of a complete part."""
        return max(PART_BYTES, self.file.size_bytes // MOST_PARTS)


def session_key(tenant: str, session_id: str) -> str:
    """Return the key of the record of a tenant's upload: no tenant can name another's."""
    return hashlib.sha256(f"{tenant}\n{session_id}".encode()).hexdigest()


def parse_resource(name: str) -> tuple[str, Announcement | None]:
    """Return the id in the name of an upload, and what the name announces. Raises InvalidArgument."""
    found = _RESOURCE.fullmatch(name)
    if found is None:
        text = (
            f'{name[:80]!r} is no name of an upload; it is "uploads/{{upload}}" as CreateUpload answered, or '
            '"uploads/{uuid}/blobs/{sha256}/{size}/{filename}".'
        )
        raise InvalidArgument(text, reason="BAD_UPLOAD_NAME")
    if found["size"] is None:
        return found["id"], None
    return found["id"], Announcement(int(found["size"]), found["filename"] or "", sha256=found["sha256"].lower())


def taken(session: UploadSession, writer: str, now: datetime, expires_at: datetime) -> UploadSession:
    """Make `writer` the only one that may add. Raises NotFound and FailedPrecondition for an upload that is over."""
    check_open(session, now)
    if session.is_finished:
        text = f"{session.name} is whole, and an asset; upload another file as another upload."
        raise FailedPrecondition(text, reason="UPLOAD_FINISHED")
    return replace(session, writer=writer, expires_at=expires_at)


def extended(session: UploadSession, writer: str, added: Sequence[AssetPart], expires_at: datetime) -> UploadSession:
    """Add parts of `writer`. Raises Aborted when a later writer has taken over."""
    if session.writer != writer or session.is_finished:
        raise taken_over()
    return replace(session, parts=(*session.parts, *added), expires_at=expires_at)


def small_parts(session: UploadSession) -> tuple[AssetPart, ...]:
    """Return the parts at the end that had better be one, if any: many small ones are slow to read, and to record."""
    last = session.parts[-MERGED_PARTS:]
    most_bytes = max(MERGED_BYTES, 2 * session.part_bytes)
    return last if len(last) == MERGED_PARTS and sum(part.size_bytes for part in last) < most_bytes else ()


def merged(session: UploadSession, writer: str, small: Sequence[AssetPart], whole: AssetPart) -> UploadSession:
    """Put one part in place of the last ones. Raises Aborted when a later writer has taken over."""
    if session.writer != writer or session.parts[-len(small) :] != tuple(small):
        raise taken_over()
    return replace(session, parts=(*session.parts[: -len(small)], whole))


def finished(session: UploadSession, expires_at: datetime) -> UploadSession:
    """Note that the upload is an asset, which has its parts."""
    return replace(session, is_finished=True, parts=(), expires_at=expires_at)


def to_asset(session: UploadSession, sha256: str, now: datetime, retention: timedelta) -> StoredAsset:
    """Return the record of the asset that a whole upload becomes."""
    file = session.file
    return StoredAsset(
        id=session.asset_id,
        filename=file.filename,
        content_type=file.content_type,
        size_bytes=file.size_bytes,
        sha256=sha256,
        created_at=now,
        expires_at=now + retention,
        charset=file.charset,
        tenant=session.tenant,
        parts=session.parts,
    )


def check_same(session: UploadSession, file: Announcement | None) -> None:
    """Raise AlreadyExists where an id comes with another file than before."""
    if file and (file.size_bytes, file.sha256) != (session.file.size_bytes, session.file.sha256):
        text = f"{session.name} is an upload of another file; choose another id for each file."
        raise AlreadyExists(text, reason="UPLOAD_ID_REUSED")


def check_open(session: UploadSession, now: datetime) -> None:
    """Raise NotFound for an upload that has expired."""
    if session.expires_at <= now:
        text = f"{session.name} expired at {session.expires_at:%Y-%m-%d %H:%M:%S} UTC; upload the file again."
        raise NotFound(text, reason="UPLOAD_EXPIRED")


def wrong_offset(session: UploadSession, offset: int) -> Aborted:
    """Return the error of bytes that belong elsewhere."""
    return Aborted(
        f"{session.name} has {session.offset} bytes, and these begin at {offset}; ask for its offset and go on there.",
        reason="WRONG_OFFSET",
        metadata={"committed_size": str(session.offset)},
    )


def taken_over() -> Aborted:
    """Return the error of a writer that has a successor."""
    text = "Another request has taken this upload over; ask for its offset, and let only one write."
    return Aborted(text, reason="UPLOAD_TAKEN_OVER")
