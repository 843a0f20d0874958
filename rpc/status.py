"""The one translator from a domain error to a rich gRPC status (``google.rpc.Status``)."""

from __future__ import annotations

from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from rpc.errors import DomainError

DOMAIN = "visionmesh"

# Larger details make the client see RESOURCE_EXHAUSTED instead of the error: they travel in one HTTP/2 header.
VIOLATION_BYTES = 4096


def to_status(error: DomainError, request_id: str) -> status_pb2.Status:
    """Give the status with ErrorInfo always, BadRequest with the violations that fit, RetryInfo when waiting helps."""
    metadata = {**error.metadata, "request_id": request_id}
    details: list[Message] = []
    if error.violations:
        metadata["violation_count"] = str(len(error.violations))
        details.append(_bad_request(error))
    if error.retry_seconds is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(error.retry_seconds * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)
    return status_pb2.Status(
        code=error.code.value[0], message=error.message[:2000], details=[_pack(item) for item in (info, *details)]
    )


def _bad_request(error: DomainError) -> error_details_pb2.BadRequest:
    bad, used = error_details_pb2.BadRequest(), 0
    for violation in error.violations:
        item = error_details_pb2.BadRequest.FieldViolation(
            field=violation.field[:300], description=violation.description[:600]
        )
        used += item.ByteSize() + 4
        if used > VIOLATION_BYTES:
            break
        bad.field_violations.append(item)
    return bad


def _pack(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
