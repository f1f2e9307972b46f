"""What is known of a stored file, and how it is written down: one small JSON object, the commit marker of the file."""

import base64
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from servicekit import codec
from servicekit.errors import DataLoss, InvalidArgument

PREFIX = "assets/"
ID = re.compile(r"[a-z2-7]{26}")


@dataclass(frozen=True)
class StoredAsset:
    """A file in the store: its digest is SHA-256 in lower-case hexadecimal, its times are UTC."""

    id: str
    filename: str
    content_type: str
    size_bytes: int
    sha256: str
    created_at: datetime
    expires_at: datetime

    @property
    def name(self) -> str:
        """ "assets/" and the id: what callers use."""
        return PREFIX + self.id

    def expired(self, now: datetime | None = None) -> bool:
        """Whether its time is over: it counts as gone, deleted or not."""
        return self.expires_at <= (now or datetime.now(UTC))

    @classmethod
    def from_json(cls, data: bytes) -> "StoredAsset":
        """Return the file that a record describes. Raise DataLoss for a record that cannot be read."""
        try:
            return codec.from_json(cls, data)
        except ValueError as error:
            raise DataLoss("The record of this asset is damaged; upload the file again.") from error


def new_id() -> str:
    """130 unguessable bits as letters and digits that URLs, object stores and every file system take."""
    return base64.b32encode(secrets.token_bytes(17)).decode().lower()[:26]


def parse_name(name: str) -> str:
    """The id in "assets/<id>". Raises InvalidArgument when the name has another form."""
    asset_id = name.removeprefix(PREFIX)
    if not name.startswith(PREFIX) or not ID.fullmatch(asset_id):
        raise InvalidArgument(
            f'{name[:80]!r} is no name of an asset; it is "assets/" and an id, as the upload answered.',
            reason="BAD_ASSET_NAME",
        )
    return asset_id
