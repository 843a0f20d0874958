"""Errors as a client sees them: the reason, the violations and the hints of a rich gRPC status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from visionmesh.v1 import common_pb2

STATUS_KEY = "grpc-status-details-bin"


@dataclass(frozen=True)
class Violation:
    """One thing wrong with one field: its path and a sentence that says what would be right."""

    field: str
    description: str


class VisionMeshError(Exception):
    """A call that failed. ``reason`` is a name of ``visionmesh.v1.ErrorReason`` without its prefix, or empty when the
    status carries none (for example because no server was reached)."""

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
        retry_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_seconds = retry_seconds

    def __str__(self) -> str:
        return f"{self.reason or self.code.name}: {self.message}"


def from_rpc(error: grpc.RpcError) -> VisionMeshError:
    """Read a call's error, of a blocking or an asyncio stub, with all its details."""
    code, message = error.code(), error.details() or ""
    reason, metadata = "", {}
    violations: list[Violation] = []
    retry_seconds = None
    for detail in _details(error):
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo()
            detail.Unpack(info)
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = error_details_pb2.BadRequest()
            detail.Unpack(bad)
            violations += [Violation(item.field, item.description) for item in bad.field_violations]
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            retry = error_details_pb2.RetryInfo()
            detail.Unpack(retry)
            retry_seconds = retry.retry_delay.ToTimedelta().total_seconds()
    return VisionMeshError(
        code, message, reason=reason, metadata=metadata, violations=violations, retry_seconds=retry_seconds
    )


# The canonical codes of reasons that a failure may have, where their names do not tell.
_FAILURE_CODES: Mapping[str, grpc.StatusCode] = {
    "INVALID_REQUEST": grpc.StatusCode.INVALID_ARGUMENT,
    "IMAGE_UNREADABLE": grpc.StatusCode.INVALID_ARGUMENT,
    "IMAGE_TOO_LARGE": grpc.StatusCode.INVALID_ARGUMENT,
    "MESSAGE_TOO_LARGE": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "INTERNAL": grpc.StatusCode.INTERNAL,
}


def from_failure(failure: common_pb2.Failure) -> VisionMeshError:
    """The error that a call would have ended with, for a failure that came inside a response."""
    missing = grpc.StatusCode.NOT_FOUND if failure.reason.endswith("_NOT_FOUND") else None
    code = missing or _FAILURE_CODES.get(failure.reason, grpc.StatusCode.FAILED_PRECONDITION)
    return VisionMeshError(code, failure.message, reason=failure.reason, metadata=failure.metadata)


def _details(error: grpc.RpcError) -> Sequence[any_pb2.Any]:
    trailing: Iterable[tuple[str, Any]] = cast(Any, error.trailing_metadata()) or ()
    for key, value in trailing:
        if key == STATUS_KEY:
            return list(status_pb2.Status.FromString(value).details)
    return []
