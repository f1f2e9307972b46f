"""Assets: files at the gateway."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from google.protobuf.timestamp_pb2 import Timestamp

from apigpu.v1 import assets_pb2


@dataclass(frozen=True)
class Asset:
    """A file at the gateway. `name` ("assets/…") serves as the source of any operation; times are UTC."""

    name: str
    filename: str
    content_type: str
    size_bytes: int
    sha256: str
    created: datetime | None
    expires: datetime | None
    download_url: str

    @classmethod
    def from_message(cls, message: assets_pb2.Asset) -> Self:
        """The asset that the gateway describes."""
        return cls(
            name=message.name,
            filename=message.filename,
            content_type=message.content_type,
            size_bytes=message.size_bytes,
            sha256=message.sha256,
            created=moment(message.create_time),
            expires=moment(message.expire_time),
            download_url=message.download_url,
        )


def moment(timestamp: Timestamp) -> datetime | None:
    """The time in UTC; None when it was not given."""
    return timestamp.ToDatetime(tzinfo=UTC) if timestamp.ByteSize() else None
