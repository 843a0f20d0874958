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

# Payloads that are also read on their own carry their time and sequence with them; both are their last fields.
_TIMED = ("metric", "log")
_NUMBERED = ("metric", "log", "validation")


def encoder(job_id: str, run_id: str, time: datetime, field: str, payload: Message) -> Callable[[int], bytes]:
    """A function from the event's sequence to its bytes; ``field`` is a payload field of JobEvent.

    The bytes are put together here, in the order of protobuf's own encoder: to build a message that holds the payload
    once more takes several times as long, and this is done for every event.
    """
    stamp = to_timestamp(time)
    told_time = stamp.SerializeToString() if stamp is not None else b""
    part = payload.SerializeToString()
    own: Any = payload
    if field in _TIMED and not own.HasField("time"):
        part += _message(_number(own, "time"), told_time)
    head = _message(_JOB_ID, job_id.encode())
    if run_id:
        head += _message(_RUN_ID, run_id.encode())
    head += _message(_TIME, told_time)
    tag = varint(_PAYLOADS[field] << 3 | 2)
    if field not in _NUMBERED:
        rest = head + tag + varint(len(part)) + part
        return lambda sequence: _SEQUENCE + varint(sequence) + rest
    number = varint(_number(own, "sequence") << 3)

    def encode(sequence: int) -> bytes:
        digits = varint(sequence)
        whole = part + number + digits
        return b"".join((_SEQUENCE, digits, head, tag, varint(len(whole)), whole))

    return encode


def varint(value: int) -> bytes:
    """Base-128 varint of the protobuf wire format; ``value`` is not negative."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _message(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def _number(message: Message, field: str) -> int:
    return message.DESCRIPTOR.fields_by_name[field].number


_FIELDS = event_pb2.JobEvent.DESCRIPTOR.fields_by_name
_SEQUENCE = varint(_FIELDS["sequence"].number << 3)
_JOB_ID, _RUN_ID, _TIME = (_FIELDS[name].number for name in ("job_id", "run_id", "time"))
_PAYLOADS = {name: _FIELDS[name].number for name in KINDS}
