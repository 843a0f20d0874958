"""What a domain error looks like on the wire."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from rpc.errors import CODES, DomainError, invalid_request
from rpc.status import DOMAIN, VIOLATION_BYTES, to_status
from visionmesh.errors import Violation
from visionmesh.v1 import common_pb2

REASONS = frozenset(common_pb2.ErrorReason.keys())


def detail(status: status_pb2.Status, kind: type[Message]) -> Any:
    """The only detail of a kind, or None."""
    found = [item for item in status.details if item.Is(kind.DESCRIPTOR)]
    assert len(found) <= 1
    if not found:
        return None
    message = kind()
    found[0].Unpack(message)
    return message


def test_every_reason_is_in_the_contract_with_a_canonical_code() -> None:
    for reason, code in CODES.items():
        assert f"ERROR_REASON_{reason}" in REASONS
        assert to_status(DomainError(reason, "text"), "id").code == code.value[0]


def test_error_info_tells_reason_domain_and_metadata() -> None:
    status = to_status(DomainError("JOB_NOT_FOUND", "There is no job.", metadata={"job_id": "job_1"}), "abc")
    info = detail(status, error_details_pb2.ErrorInfo)
    assert info is not None
    assert (info.reason, info.domain) == ("JOB_NOT_FOUND", DOMAIN)
    assert dict(info.metadata) == {"job_id": "job_1", "request_id": "abc"}
    assert status.message == "There is no job."
    assert detail(status, error_details_pb2.BadRequest) is None
    assert detail(status, error_details_pb2.RetryInfo) is None


def test_retry_info_only_when_waiting_helps() -> None:
    retry = detail(to_status(DomainError("BUSY", "Full.", retry_seconds=1.5), "id"), error_details_pb2.RetryInfo)
    assert retry is not None
    assert retry.retry_delay.ToTimedelta().total_seconds() == 1.5


def test_two_hundred_violations_are_capped_and_counted() -> None:
    violations = [Violation(f"files[{number}].path", "must not be absolute; " * 3) for number in range(200)]
    status = to_status(invalid_request(violations), "id")
    bad = detail(status, error_details_pb2.BadRequest)
    info = detail(status, error_details_pb2.ErrorInfo)
    assert bad is not None and info is not None
    assert info.metadata["violation_count"] == "200"
    assert 10 < len(bad.field_violations) < 200
    assert bad.ByteSize() <= VIOLATION_BYTES <= 4096
    shown = [(item.field, item.description) for item in bad.field_violations]
    assert shown == [(item.field, item.description) for item in violations[: len(shown)]]
    assert "and 195 more" in status.message
    # All of it must fit in the 8 KiB that a client accepts by default, base64 included.
    assert status.ByteSize() * 4 / 3 < 8192


@pytest.mark.parametrize("length", [5000, 100_000])
def test_one_violation_of_any_length_is_still_shown(length: int) -> None:
    status = to_status(invalid_request([Violation("f" * length, "d" * length)]), "id")
    bad = detail(status, error_details_pb2.BadRequest)
    assert bad is not None and len(bad.field_violations) == 1
    assert status.ByteSize() * 4 / 3 < 8192


@pytest.mark.parametrize("letter", ["a", "é", "€"])
def test_long_messages_and_metadata_are_cut_to_what_a_header_holds(letter: str) -> None:
    error = DomainError("FRAMEWORK_NOT_FOUND", letter * 5000, metadata={"framework": letter * 20_000, "known": "timm"})
    status = to_status(error, "id")
    info = detail(status, error_details_pb2.ErrorInfo)
    assert info is not None and info.metadata["known"] == "timm" and info.metadata["request_id"] == "id"
    assert info.metadata["framework"].endswith("…") and status.message.endswith("…")
    # The message travels once more, percent-encoded: three characters for each byte that is not ASCII.
    assert status.ByteSize() * 4 / 3 + len(quote(status.message)) < 8192


def test_a_failure_keeps_the_same_three_parts() -> None:
    failure = DomainError("BUSY", "Full.", metadata={"slots": "1"}).failure()
    assert (failure.reason, failure.message, dict(failure.metadata)) == ("BUSY", "Full.", {"slots": "1"})
