"""How stand-ins end a call: a rich status, as the contract says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

TOKEN = "stand-in-token"


def refuse(
    context: grpc.ServicerContext,
    code: int,
    reason: str,
    message: str,
    violations: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> NoReturn:
    """End a call as the contract says: ErrorInfo always, BadRequest with the violations."""
    details = [any_pb2.Any()]
    details[0].Pack(error_details_pb2.ErrorInfo(reason=reason, domain="visionmesh", metadata=metadata or {}))
    if violations:
        bad = error_details_pb2.BadRequest()
        for name, description in violations.items():
            bad.field_violations.add(field=name, description=description)
        details.append(any_pb2.Any())
        details[1].Pack(bad)
    context.abort_with_status(rpc_status.to_status(status_pb2.Status(code=code, message=message, details=details)))
    raise AssertionError("abort_with_status returned")


def authenticate(context: grpc.ServicerContext) -> None:
    if dict(context.invocation_metadata()).get("authorization") != f"Bearer {TOKEN}":
        refuse(context, code_pb2.UNAUTHENTICATED, "TOKEN_INVALID", "The token is not known.")
