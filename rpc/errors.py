"""The error catalogue: every reason with its canonical gRPC code.

A reason is the name of a value of ``visionmesh.v1.ErrorReason`` without its prefix. Those of failures alone
(``TRAINING_DIVERGED``, …) never leave a server as a status, so they have no code here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from grpc import StatusCode

from visionmesh.errors import Violation
from visionmesh.v1 import common_pb2

CODES: Mapping[str, StatusCode] = {
    "INVALID_REQUEST": StatusCode.INVALID_ARGUMENT,
    "TOKEN_MISSING": StatusCode.UNAUTHENTICATED,
    "TOKEN_INVALID": StatusCode.UNAUTHENTICATED,
    "DATASET_NOT_FOUND": StatusCode.NOT_FOUND,
    "JOB_NOT_FOUND": StatusCode.NOT_FOUND,
    "CHECKPOINT_NOT_FOUND": StatusCode.NOT_FOUND,
    "VALIDATION_IMAGES_NOT_KEPT": StatusCode.NOT_FOUND,
    "MODEL_NOT_FOUND": StatusCode.NOT_FOUND,
    "FRAMEWORK_NOT_FOUND": StatusCode.NOT_FOUND,
    "FILE_NOT_FOUND": StatusCode.NOT_FOUND,
    "FRAMEWORK_UNAVAILABLE": StatusCode.UNAVAILABLE,
    "INVALID_STATE_TRANSITION": StatusCode.FAILED_PRECONDITION,
    "DATASET_NOT_READY": StatusCode.FAILED_PRECONDITION,
    "DATASET_IN_USE": StatusCode.FAILED_PRECONDITION,
    "JOB_IN_USE": StatusCode.FAILED_PRECONDITION,
    "DATASET_NOT_TRAINABLE": StatusCode.INVALID_ARGUMENT,
    "FILE_EXISTS": StatusCode.ALREADY_EXISTS,
    "FILE_MISMATCH": StatusCode.INVALID_ARGUMENT,
    "REQUEST_ID_REUSED": StatusCode.ALREADY_EXISTS,
    "IMAGE_UNREADABLE": StatusCode.INVALID_ARGUMENT,
    "IMAGE_TOO_LARGE": StatusCode.INVALID_ARGUMENT,
    "NO_CHECKPOINT": StatusCode.FAILED_PRECONDITION,
    "PRETRAINED_UNAVAILABLE": StatusCode.FAILED_PRECONDITION,
    "STORAGE_CORRUPT": StatusCode.FAILED_PRECONDITION,
    "SEQUENCE_EXPIRED": StatusCode.OUT_OF_RANGE,
    "BUSY": StatusCode.RESOURCE_EXHAUSTED,
    "MESSAGE_TOO_LARGE": StatusCode.RESOURCE_EXHAUSTED,
    "DISK_FULL": StatusCode.RESOURCE_EXHAUSTED,
    "BAD_ARCHIVE": StatusCode.INVALID_ARGUMENT,
    "PRESIGNED_UPLOADS_UNSUPPORTED": StatusCode.UNIMPLEMENTED,
    "IMPORT_NOT_ALLOWED": StatusCode.PERMISSION_DENIED,
    "RUN_NOT_ALLOWED": StatusCode.PERMISSION_DENIED,
    "OBJECT_NOT_ALLOWED": StatusCode.PERMISSION_DENIED,
    "EVENT_REFUSED": StatusCode.INVALID_ARGUMENT,
    "EVENTS_OUT_OF_ORDER": StatusCode.FAILED_PRECONDITION,
    "NOT_SERVED_YET": StatusCode.UNIMPLEMENTED,
    "SHUTTING_DOWN": StatusCode.UNAVAILABLE,
    "UPLOAD_ELSEWHERE": StatusCode.UNAVAILABLE,
    "DATABASE_UNAVAILABLE": StatusCode.UNAVAILABLE,
    "OBJECT_STORE_UNAVAILABLE": StatusCode.UNAVAILABLE,
    "INTERNAL": StatusCode.INTERNAL,
}


class DomainError(Exception):
    """An error that a client is meant to read.

    ``reason`` is a key of ``CODES``; ``message`` says what is wrong and what to do about it; ``metadata`` holds the
    same as data; ``violations`` name fields of the request; ``retry_seconds`` is set when waiting helps.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
        retry_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_seconds = retry_seconds

    @property
    def code(self) -> StatusCode:
        """The canonical code of the reason."""
        return CODES[self.reason]

    def failure(self) -> common_pb2.Failure:
        """The same error as a resource keeps it."""
        return common_pb2.Failure(reason=self.reason, message=self.message, metadata=self.metadata)


def invalid_request(violations: Sequence[Violation]) -> DomainError:
    """INVALID_REQUEST that names every violation; the message repeats them, for those who see no details."""
    said = "; ".join(f"{violation.field}: {violation.description}" for violation in violations[:5])
    more = f"; and {len(violations) - 5} more" if len(violations) > 5 else ""
    return DomainError("INVALID_REQUEST", f"The request is not valid: {said}{more}", violations=violations)
