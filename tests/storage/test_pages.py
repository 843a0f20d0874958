from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from storage.database.errors import InvalidPageToken
from storage.database.pages import decode_page_token, encode_page_token

SCOPE = ("datasets", "user_1", {"text": "x"})
KINDS = (datetime, str, int)
CURSOR = (datetime(2026, 1, 2, 3, 4, 5, 6, UTC), "größe/猫.png", 7)


def test_a_token_gives_its_keys_back() -> None:
    assert decode_page_token(encode_page_token(CURSOR, SCOPE), KINDS, SCOPE) == list(CURSOR)


def test_a_token_is_safe_in_a_url() -> None:
    token = encode_page_token(("?" * 50, "ÿ" * 50), SCOPE)
    assert token.replace("-", "").replace("_", "").isalnum()


def test_a_token_of_other_filters_is_refused() -> None:
    token = encode_page_token(CURSOR, SCOPE)
    with pytest.raises(InvalidPageToken, match="other filters"):
        decode_page_token(token, KINDS, ("datasets", "user_1", {"text": "y"}))


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "not base64!",
        "ÿÿÿÿ",
        "bm90IGpzb24",  # "not json"
        "W10",  # "[]"
        "e30",  # "{}"
        "Nw",  # "7"
        "W" * 9000,
        encode_page_token((), SCOPE),
        encode_page_token((*CURSOR, "more"), SCOPE),
        encode_page_token(("yesterday", "a", 1), SCOPE),
        encode_page_token(("2026-01-01T00:00:00", "a", 1), SCOPE),
        encode_page_token((datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))), "a", 1), SCOPE),
        encode_page_token((CURSOR[0], 5, 1), SCOPE),
        encode_page_token((CURSOR[0], "a\0", 1), SCOPE),
        encode_page_token((CURSOR[0], "a", True), SCOPE),
        encode_page_token((CURSOR[0], "a", 2**63), SCOPE),
        "W1tb" * 2000,  # "[[[…"
    ],
)
def test_a_malformed_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidPageToken):
        decode_page_token(token, KINDS, SCOPE)
