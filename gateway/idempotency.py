"""Repeated calls: the same request_id and body gives the first answer again, another body is refused."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from sqlalchemy.orm import Session

from rpc.errors import DomainError
from storage.database.requests import RequestRepository
from storage.database.tables import RequestRecord


def body_digest(message: Message) -> str:
    """SHA-256, hexadecimal, of a request without its ``request_id``: that of its JSON with sorted keys.

    Two requests that say the same have the same digest, whichever client wrote their bytes.
    """
    body = type(message)()
    body.CopyFrom(message)
    body.ClearField("request_id")
    content = MessageToDict(body, preserving_proto_field_name=True)
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def replayed(session: Session, user_id: str, method: str, request: Message) -> str | None:
    """Id of the resource that this very request made before; None when it is new or carries no request_id.

    Raises REQUEST_ID_REUSED when the id came with another body.
    """
    request_id = _request_id(request)
    record = RequestRepository(session).find(user_id, method, request_id) if request_id else None
    if record is None:
        return None
    if record.body_digest != body_digest(request):
        raise DomainError(
            "REQUEST_ID_REUSED",
            f"The request_id {request_id!r} was used before with another body. Send a new id, or the same body.",
            metadata={"request_id": request_id, "resource_id": record.resource_id},
        )
    return record.resource_id


def remember(session: Session, user_id: str, method: str, request: Message, resource_id: str) -> None:
    """Record what the request made, in the transaction that makes it; without a request_id there is nothing to do."""
    request_id = _request_id(request)
    if request_id:
        record = RequestRecord(
            user_id=user_id,
            method=method,
            request_id=request_id,
            body_digest=body_digest(request),
            resource_id=resource_id,
        )
        RequestRepository(session).add(record)


def _request_id(request: Any) -> str:
    return str(request.request_id)
