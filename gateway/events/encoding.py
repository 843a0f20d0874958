"""Events of the log as bytes: an encoded ``visionmesh.v1.JobEvent``, made when its sequence is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from google.protobuf.message import Message

from rpc.times import to_timestamp
from visionmesh.v1 import event_pb2

# Kind of each payload field of JobEvent: short names of EventKind.
KINDS: Mapping[str, str] = {
    "state_change": "STATE",
    "attempt_start": "ATTEMPT",
    "attempt_end": "ATTEMPT",
    "preparation": "PREPARATION",
    "training_start": "BEGAN",
    "progress": "PROGRESS",
    "metric": "METRIC",
    "log": "LOG",
    "checkpoint": "CHECKPOINT",
    "validation": "VALIDATION",
    "roll_back": "ROLLED_BACK",
    "resource_use": "RESOURCES",
}

# Payloads that are also read on their own carry their time and sequence with them.
_TIMED = ("metric", "log")
_NUMBERED = ("metric", "log", "validation")


def encoder(job_id: str, run_id: str, time: datetime, field: str, payload: Message) -> Callable[[int], bytes]:
    """A function from the event's sequence to its bytes; ``field`` is a payload field of JobEvent."""

    def encode(sequence: int) -> bytes:
        event = event_pb2.JobEvent(sequence=sequence, job_id=job_id, run_id=run_id, time=to_timestamp(time))
        part: Any = getattr(event, field)
        part.CopyFrom(payload)
        part.SetInParent()
        if field in _NUMBERED:
            part.sequence = sequence
        if field in _TIMED and not part.HasField("time"):
            part.time.CopyFrom(event.time)
        return event.SerializeToString()

    return encode
