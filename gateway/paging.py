"""Page sizes of every listing: 0 asks for the default, anything else must be in range."""

from __future__ import annotations

from rpc.errors import invalid_request
from visionmesh.errors import Violation

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000


def page_size_violations(value: int) -> list[Violation]:
    """What is wrong with a ``page_size`` as sent; empty when nothing is."""
    if 0 <= value <= MAX_PAGE_SIZE:
        return []
    return [Violation("page_size", f"must be from 1 to {MAX_PAGE_SIZE}, or 0 for {DEFAULT_PAGE_SIZE}; it is {value}")]


def page_size(value: int) -> int:
    """The size to serve for a ``page_size`` as sent. Raises DomainError INVALID_REQUEST."""
    if violations := page_size_violations(value):
        raise invalid_request(violations)
    return value or DEFAULT_PAGE_SIZE
