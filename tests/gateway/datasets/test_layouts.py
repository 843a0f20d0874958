"""Which path means which split and class."""

from __future__ import annotations

import pytest

from annotations.formats.folders import read_layout


@pytest.mark.parametrize(
    ("format", "paths", "expected"),
    [
        ("DICE", ["train/cat/1.png"], {"train/cat/1.png": ("train", "cat")}),
        ("DICE", ["train/cat/deep/er/1.png"], {"train/cat/deep/er/1.png": ("train", "cat")}),
        ("DICE", ["cat/1.png", "train/cat/1.png"], {"train/cat/1.png": ("train", "cat")}),
        ("DICE", ["train/1.png"], {}),
        ("DICE", ["valid/cat/1.png", "train/cat/1.png"], {"train/cat/1.png": ("train", "cat")}),
        ("IMAGE_FOLDER", ["cat/1.png", "dog/1.png"], {"cat/1.png": ("train", "cat"), "dog/1.png": ("train", "dog")}),
        ("IMAGE_FOLDER", ["cat/1.png", "cat/2.png"], {"cat/1.png": ("train", "cat"), "cat/2.png": ("train", "cat")}),
        # Classes that are called like splits.
        ("IMAGE_FOLDER", ["bus/1.png", "val/1.png"], {"bus/1.png": ("train", "bus"), "val/1.png": ("train", "val")}),
        ("IMAGE_FOLDER", ["val/cat/1.png"], {"val/cat/1.png": ("val", "cat")}),
        ("IMAGE_FOLDER", ["x/a/1.png", "x/b/1.png"], {"x/a/1.png": ("train", "a"), "x/b/1.png": ("train", "b")}),
        ("IMAGE_FOLDER", ["1.png", "cat/1.png"], {"cat/1.png": ("train", "cat")}),
    ],
)  # fmt: skip
def test_a_path_says_split_and_class(format: str, paths: list[str], expected: dict[str, tuple[str, str]]) -> None:
    layout = read_layout(format, paths)
    assert {path: (place.split, place.label) for path, place in layout.places.items()} == expected
    assert {problem.path for problem in layout.problems} == set(paths) - set(expected)
