"""Times of the domain as messages."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp


def timestamp(seconds: float | None) -> Timestamp | None:
    """Unix seconds, to the millisecond; None stays None."""
    return None if seconds is None else moment(datetime.fromtimestamp(round(seconds, 3), UTC))


def moment(given: datetime) -> Timestamp:
    """A time with its zone."""
    stamp = Timestamp()
    stamp.FromDatetime(given)
    return stamp
