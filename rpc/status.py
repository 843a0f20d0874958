"""The one translator from a domain error to a rich gRPC status (``google.rpc.Status``)."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from rpc.errors import DomainError

DOMAIN = "visionmesh"

# Status details and the message travel in HTTP/2 headers, the message twice and once percent-encoded. Above 8 KiB in
# all, a client sees RESOURCE_EXHAUSTED instead of the error: so each part has its share.
VIOLATION_BYTES = 3072
MESSAGE_BYTES = 900
METADATA_VALUE_BYTES = 256
METADATA_BYTES = 1024


def to_status(error: DomainError, request_id: str) -> status_pb2.Status:
    """Give the status with ErrorInfo always, BadRequest with the violations that fit, RetryInfo when waiting helps."""
    metadata = {"request_id": request_id}
    details: list[Message] = []
    if error.violations:
        metadata["violation_count"] = str(len(error.violations))
        details.append(_bad_request(error))
    if error.retry_seconds is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(error.retry_seconds * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    metadata.update(_fitting(error.metadata))
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)
    return status_pb2.Status(
        code=error.code.value[0],
        message=_cut(error.message, MESSAGE_BYTES),
        details=[_pack(item) for item in (info, *details)],
    )


def _bad_request(error: DomainError) -> error_details_pb2.BadRequest:
    bad, used = error_details_pb2.BadRequest(), 0
    for violation in error.violations:
        item = error_details_pb2.BadRequest.FieldViolation(
            field=_cut(violation.field, METADATA_VALUE_BYTES), description=_cut(violation.description, MESSAGE_BYTES)
        )
        used += item.ByteSize() + 4
        if used > VIOLATION_BYTES:
            break
        bad.field_violations.append(item)
    return bad


def _fitting(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata that fits, long values cut."""
    fitting, used = {}, 0
    for key, value in metadata.items():
        short = _cut(value, METADATA_VALUE_BYTES)
        used += len(key) + len(short.encode())
        if used > METADATA_BYTES:
            break
        fitting[key] = short
    return fitting


def _cut(text: str, limit: int) -> str:
    """The text, ending in an ellipsis when it has more than ``limit`` bytes in UTF-8."""
    encoded = text.encode()
    return text if len(encoded) <= limit else encoded[: limit - 3].decode(errors="ignore") + "…"


def _pack(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
