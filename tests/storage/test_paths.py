"""Paths that clients give: what is refused, and that what passes can be trusted."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from storage.objects.paths import MAX_PART_BYTES, MAX_PATH_BYTES, InvalidPath, normalize


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "empty"),
        ("/etc/passwd", "absolute"),
        ("..", "part .."),
        ("train/../../x", "part .."),
        ("./x", "part ."),
        ("a//b", "empty part"),
        ("a/", "empty part"),
        ("a\\b", "backslash"),
        ("a\0b", "control"),
        ("a\nb", "control"),
        ("a\x85b", "control"),
        ("C:/x", "drive"),
        ("c:x", "drive"),
        ("a\ud800", "Unicode"),
        ("x" * 256, "part longer than 255 bytes"),
        ("é" * 128, "part longer than 255 bytes"),
        ("/".join(["x" * 204] * 5) + "y", "longer than 1024 bytes"),
    ],
)
def test_an_unsafe_path_is_refused_with_its_reason(path: str, why: str) -> None:
    with pytest.raises(InvalidPath) as caught:
        normalize(path)
    assert why in caught.value.why
    assert caught.value.path == path


@pytest.mark.parametrize("path", ["train/cat/1.png", "a", "..a/b..", ".hidden", "ab:c/d", "日本/猫 1.png", "x" * 255])
def test_an_ordinary_path_stays_as_it_is(path: str) -> None:
    assert normalize(path) == path


def test_the_longest_path_passes() -> None:
    path = "/".join(["x" * 204] * 5)
    assert len(path) == 1024
    assert normalize(path) == path


def test_two_spellings_of_one_name_become_one_path() -> None:
    assert normalize("cafe\u0301/1.png") == normalize("caf\u00e9/1.png") == "caf\u00e9/1.png"


def test_limits_are_those_of_what_is_kept_not_of_what_was_sent() -> None:
    # U+0958 grows from 3 bytes to 6 when normalised.
    with pytest.raises(InvalidPath, match="255"):
        normalize("\u0958" * 80)


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("./\\:C\0")), max_size=40))
@example("C:")
@example("a/..")
@example("\u037e/\u212a")
def test_what_passes_stays_below_its_folder_and_is_normalised_for_good(path: str) -> None:
    try:
        normalized = normalize(path)
    except InvalidPath:
        return
    parts = normalized.split("/")
    assert Path("/data/of/dataset", normalized).parts == ("/", "data", "of", "dataset", *parts)
    assert not {"", ".", ".."} & set(parts)
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in normalized)
    assert len(normalized.encode()) <= MAX_PATH_BYTES
    assert all(len(part.encode()) <= MAX_PART_BYTES for part in parts)
    assert normalize(normalized) == normalized == unicodedata.normalize("NFC", path)
