"""Datetimes and protobuf timestamps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_timestamp(time: datetime | None) -> Timestamp | None:
    """A timestamp of an aware datetime; None stays None, which leaves a field unset."""
    if time is None:
        return None
    # Not FromDatetime: it takes several times as long, and a job has six times.
    since = time - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def from_timestamp(stamp: Timestamp) -> datetime:
    """An aware UTC datetime, to the microsecond. Raises OverflowError outside the years 1 to 9999."""
    # Not ToDatetime, for the same reason: every event has a time.
    return _EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1000)


def now_timestamp() -> Timestamp:
    """The present moment."""
    stamp = Timestamp()
    stamp.GetCurrentTime()
    return stamp
