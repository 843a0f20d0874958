"""Datetimes and protobuf timestamps."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp


def to_timestamp(time: datetime | None) -> Timestamp | None:
    """A timestamp of an aware datetime; None stays None, which leaves a field unset."""
    if time is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(time.astimezone(UTC))
    return stamp


def from_timestamp(stamp: Timestamp) -> datetime:
    """An aware UTC datetime, to the microsecond."""
    return stamp.ToDatetime(tzinfo=UTC)


def now_timestamp() -> Timestamp:
    """The present moment."""
    stamp = Timestamp()
    stamp.GetCurrentTime()
    return stamp
