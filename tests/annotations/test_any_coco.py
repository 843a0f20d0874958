"""Whatever JSON a file holds, the readers of COCO and DICE answer with problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.formats.coco import read_coco
from annotations.formats.dice import read_dice
from tests.annotations.folder_source import save_image
from tests.annotations.reading import read_folder, write_json

WORDS = [
    *("id", "image_id", "category_id", "class_id", "file_name", "bbox", "segmentation", "size", "counts", "keypoints"),
    *("skeleton", "name", "split", "width", "annotations", "iscrowd"),
]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
JSON = st.recursive(
    LEAVES | st.sampled_from(["a.jpg", 1, 3, 18]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=6),
    max_leaves=12,
)
KEYS = st.sampled_from(["images", "annotations", "categories", "classes", "info"])


@settings(max_examples=60)
@given(content=st.dictionaries(KEYS, st.lists(JSON, max_size=4) | JSON))
@pytest.mark.parametrize("reader", [read_coco, read_dice])
def test_no_content_raises(tmp_path_factory: pytest.TempPathFactory, reader: Callable[..., None], content: Any) -> None:
    folder = tmp_path_factory.mktemp("any")
    save_image(folder / "a.jpg", 8, 8)
    write_json(folder / "annotations.json", content)

    result = read_folder(reader, folder)

    for problem in result.problems:
        problem.message.encode()
