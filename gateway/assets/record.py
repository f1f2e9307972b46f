"""Stored files: their ids, names, media types, and records. A record is a small JSON object that commits the file."""

import base64
import hashlib
import re
import secrets
import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath

from gateway.callers import DEFAULT_TENANT
from servicekit import codec, media_types
from servicekit.errors import DataLoss, InvalidArgument
from servicekit.text import normalize

PREFIX = "assets/"
ID = re.compile(r"[a-z2-7]{26}")
MAX_NAME_BYTES = 200
MAX_SUFFIX_BYTES = 20
MAX_GIVEN_CHARS = 2000
DEFAULT_TYPE = "application/octet-stream"
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")
VIDEO_SUFFIX = media_types.suffix_of("video/mp4")


@dataclass(frozen=True)
class AssetPart:
    """One object of a file that is kept in several, named beside the file's id."""

    name: str
    size_bytes: int


@dataclass(frozen=True)
class StoredAsset:
    """A file in the store: `sha256` is lower-case hexadecimal, times are UTC; `charset` is the encoding of a text that
    its owner named; `tenant` is whose it is; `parts` are the objects of a file that is not one alone;
    the last `index_bytes` are what a film that is composed of it and others needs to know of it."""

    id: str
    filename: str
    content_type: str
    size_bytes: int
    sha256: str
    created_at: datetime
    expires_at: datetime
    charset: str = field(default="", metadata=codec.SPARSE)
    tenant: str = field(default=DEFAULT_TENANT, metadata=codec.SPARSE)
    # The media type that a cloud has for the object; "" where that is not known.
    bucket_type: str = field(default="", metadata=codec.SPARSE)
    parts: tuple[AssetPart, ...] = field(default=(), metadata=codec.SPARSE)
    index_bytes: int = field(default=0, metadata=codec.SPARSE)

    @property
    def name(self) -> str:
        """Return "assets/<id>", the name that callers use."""
        return PREFIX + self.id

    def is_expired(self, now: datetime | None = None) -> bool:
        """Return True once the file counts as gone, deleted or not."""
        return self.expires_at <= (now or datetime.now(UTC))

    @classmethod
    def from_json(cls, data: bytes) -> "StoredAsset":
        """Return the file that a record describes. Raise DataLoss for a record that cannot be read."""
        try:
            return codec.from_json(cls, data)
        except ValueError as error:
            text = "The record of this asset is damaged; upload the file again."
            raise DataLoss(text, reason="ASSET_DAMAGED") from error


def new_id() -> str:
    """Return a new id: 130 unguessable bits as letters and digits that are safe in URLs, stores and file systems."""
    return base64.b32encode(secrets.token_bytes(17)).decode().lower()[:26]


def derived_id(text: str) -> str:
    """Return an id that follows from a text, and is as unguessable as that."""
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:26]


def parse_name(name: str) -> str:
    """Return the id in "assets/<id>". Raises InvalidArgument when the name has another form."""
    asset_id = name.removeprefix(PREFIX)
    if not name.startswith(PREFIX) or not ID.fullmatch(asset_id):
        raise InvalidArgument(
            f'{name[:80]!r} is no name of an asset; it is "assets/" and an id, as the upload answered.',
            reason="BAD_ASSET_NAME",
        )
    return asset_id


def clean_filename(name: str) -> str:
    """Return the name without folders, control and formatting characters, at most MAX_NAME_BYTES of UTF-8; "" if empty.

    The suffix survives. Quotes and the like stay: code that puts the name in a header quotes it.
    """
    last = normalize("NFC", _cut(name[max(name.rfind("/"), name.rfind("\\")) + 1 :]))
    # Categories C: control, format (which can turn the direction of text), surrogates, private use, unassigned.
    printable = "".join(character for character in last if unicodedata.category(character)[0] != "C")
    cleaned = " ".join(printable.split())
    return "" if set(cleaned) <= {"."} else _shorten(cleaned)


def _cut(name: str) -> str:
    """Return the beginning and the end of a name that is far too long, so that no more is worked on."""
    return (
        name if len(name) <= MAX_GIVEN_CHARS else name[: MAX_GIVEN_CHARS - MAX_SUFFIX_BYTES] + name[-MAX_SUFFIX_BYTES:]
    )


def _shorten(name: str) -> str:
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    suffix = PurePosixPath(name).suffix
    if len(suffix.encode()) > MAX_SUFFIX_BYTES:
        suffix = ""
    stem = name.encode()[: MAX_NAME_BYTES - len(suffix.encode())].decode(errors="ignore")
    return stem.rstrip() + suffix


def content_type(filename: str, declared: str = "") -> str:
    """Return the media type: `declared` without its parameters if valid, else by the name's suffix, or DEFAULT_TYPE."""
    bare = declared.partition(";")[0].strip().lower()
    if _TYPE.fullmatch(bare):
        return bare
    return media_types.of_filename(filename) or DEFAULT_TYPE


def bare_name(filename: str) -> str:
    """Return a caller's name for a file, cleaned, without the suffix of a known media type; "" if nothing is left."""
    name = clean_filename(filename)
    is_known = content_type(name) != DEFAULT_TYPE
    return name.removesuffix(PurePosixPath(name).suffix) if is_known else name


def name_for_type(filename: str, content_type: str) -> str:
    """Return the name of an MP4 with the suffix of a media type in place of its own; "" stands for MP4."""
    if not content_type:
        return filename
    return filename.removesuffix(VIDEO_SUFFIX) + media_types.suffix_of(content_type)
