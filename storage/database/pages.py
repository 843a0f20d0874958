"""Pages of a listing. A page token holds the keys of the last row seen, so inserted rows never shift a page."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Integer, Select, func, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from storage.database.errors import InvalidPageToken
from storage.database.tables import Base, UtcDateTime

T = TypeVar("T")
Row = TypeVar("Row", bound=Base)
MAX_TOKEN_LENGTH = 8192  # a path of 1024 characters fits


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page; ``next_page_token`` is empty on the last, ``total_size`` counts all pages together."""

    items: list[T]
    next_page_token: str
    total_size: int


def encode_page_token(cursor: Sequence[object], scope: Sequence[object]) -> str:
    """A token for the row whose keys are ``cursor``, good only for the listing that ``scope`` names."""
    keys = [key.isoformat() if isinstance(key, datetime) else key for key in cursor]
    text = json.dumps([_digest(scope), *keys], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_page_token(token: str, kinds: Sequence[type], scope: Sequence[object]) -> list[Any]:
    """The keys in a token: one of each of ``kinds`` (datetime, int or str).

    Raises InvalidPageToken when the token is malformed or was made for another ``scope``.
    """
    try:
        if len(token) > MAX_TOKEN_LENGTH:
            raise ValueError("too long")
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        digest, *keys = json.loads(text)
        cursor = [_decode_key(key, kind) for key, kind in zip(keys, kinds, strict=True)]
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidPageToken("the page token is malformed") from error
    if digest != _digest(scope):
        raise InvalidPageToken("the page token belongs to another listing or to other filters")
    return cursor


def fetch_page(
    session: Session,
    query: Select[Row],
    *,
    order: Sequence[InstrumentedAttribute[Any]],
    page_size: int,
    page_token: str,
    scope: Sequence[object],
    newest_first: bool = False,
) -> Page[Row]:
    """The page of ``query`` after ``page_token``, sorted by the columns ``order`` (together unique, never null).

    ``scope`` names the listing and its filters. Raises InvalidPageToken, and ValueError when ``page_size`` < 1.
    """
    if page_size < 1:
        raise ValueError(f"page_size must be at least 1, not {page_size}")
    rows_query = query.order_by(*(column.desc() if newest_first else column.asc() for column in order))
    if page_token:
        cursor = decode_page_token(page_token, [_kind(column) for column in order], scope)
        keys = tuple_(*order)
        last = tuple_(*(literal(key, column.type) for key, column in zip(cursor, order, strict=True)))
        rows_query = rows_query.where(keys < last if newest_first else keys > last)
    rows = list(session.scalars(rows_query.limit(page_size + 1)))
    total = session.scalar(query.with_only_columns(func.count(), maintain_column_froms=True))
    items = rows[:page_size]
    token = encode_page_token([getattr(items[-1], c.key) for c in order], scope) if len(rows) > page_size else ""
    return Page(items, token, total or 0)


def _digest(scope: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(scope, sort_keys=True).encode()).hexdigest()[:16]


def _kind(column: InstrumentedAttribute[Any]) -> type:
    if isinstance(column.type, UtcDateTime):
        return datetime
    return int if isinstance(column.type, Integer) else str


def _decode_key(key: object, kind: type) -> object:
    if kind is datetime and isinstance(key, str):
        time = datetime.fromisoformat(key)
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    elif kind is int and type(key) is int and -(2**63) <= key < 2**63:
        return key
    elif kind is str and isinstance(key, str) and "\0" not in key:
        key.encode()  # refuses lone surrogates
        return key
    raise ValueError("not a key of this listing")
