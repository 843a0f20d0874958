"""JSON read piece by piece: the same values as the standard library reads, whatever the size of the pieces."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.formats import json_stream
from annotations.formats.json_stream import BadJson, Kind, read_pieces

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=3), VALUES, max_size=3)


def together(data: bytes) -> dict[str, Any]:
    """The object that the pieces make up."""
    found: dict[str, Any] = {}
    for key, kind, value in read_pieces(io.BytesIO(data)):
        if kind is Kind.ITEM:
            found[key].append(value)
        else:
            found[key] = [] if kind is Kind.LIST else value
    return found


@given(OBJECTS, st.integers(1, 7), st.sampled_from([None, 2]))
def test_pieces_make_up_the_object_however_small_the_chunks(content: dict[str, Any], size: int, indent: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_CHUNK_BYTES", size)
        assert together(json.dumps(content, indent=indent).encode()) == content


@given(OBJECTS, st.data())
def test_text_that_is_cut_anywhere_is_refused(content: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(content).encode()
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    with pytest.raises(BadJson, match="cut short"):
        together(cut)


@pytest.mark.parametrize(
    "cut", [b'{"a": [1.', b'{"a": [1.5e', b'{"a": -', b'{"a": "\\u00', b'{"a": tr', b'{"a": "b', b'{"a": [1']
)
def test_text_that_is_cut_within_a_value_is_said_to_be_cut(cut: bytes) -> None:
    with pytest.raises(BadJson, match="cut short"):
        together(cut)


def test_nan_and_infinities_come_as_python_writes_them() -> None:
    found = together(b'{"a": [NaN, -Infinity, 1e999]}')["a"]
    assert math.isnan(found[0]) and found[1:] == [-math.inf, math.inf]


def test_a_byte_order_mark_is_no_matter() -> None:
    assert together(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_a_list_comes_under_no_key() -> None:
    assert together(b"[1, 2]") == {"": [1, 2]}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "cut short"),
        (b"   ", "cut short"),
        (b"\xff\xd8\xff\xe0 JFIF", "not text in UTF-8"),
        (b"PK\x03\x04", "is no JSON"),
        (b"<html>", "is no JSON"),
        (b'{"a": tru}', "not JSON"),
        (b'{"a": [1 2]}', "] is missing"),
        (b'{"a" 1}', ": is missing"),
        (b"{1: 2}", "key that is no string"),
        (b'{"a": 1} {"b": 2}', "goes on"),
        (b'{"a": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "too many digits"),
        ('{"a": 1}'.encode("utf-16"), "not text in UTF-8"),
    ],
)
def test_what_is_no_json_is_refused_with_its_reason(data: bytes, why: str) -> None:
    with pytest.raises(BadJson, match=why.replace("]", r"\]")):
        together(data)


def test_a_value_that_is_too_long_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK_BYTES", 100)
    monkeypatch.setattr(json_stream, "MAX_ITEM_LENGTH", 1000)
    file = io.BytesIO(b'{"a": [[' + b"1," * 100_000 + b"1]]}")

    with pytest.raises(BadJson, match="more than 1000 characters"):
        list(read_pieces(file))

    assert file.tell() < 10_000
