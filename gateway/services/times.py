"""Times of the domain as messages of the API."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp


def timestamp(seconds: float | None) -> Timestamp | None:
    """Return Unix seconds as a Timestamp, to the millisecond; None for None."""
    return None if seconds is None else stamp_of(datetime.fromtimestamp(round(seconds, 3), UTC))


def stamp_of(time_with_zone: datetime) -> Timestamp:
    """Return a time with its zone as a Timestamp."""
    stamp = Timestamp()
    stamp.FromDatetime(time_with_zone)
    return stamp
