"""Whatever stands in the files of a YOLO or VOC dataset, reading and detecting it raises nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.formats.detection import detect
from annotations.formats.voc import read_voc
from annotations.formats.yolo import read_yolo
from annotations.model import SPLITS
from tests.annotations.dataset_folder import IMAGE, Outcome, make_dataset, read
from tests.annotations.folder_source import FolderSource

NUMBERS = ["0", "1", "-1", "0.5", "1.005", "nan", "inf", "1e999", "9" * 5000, "½", "\x00", "1_0", "0x1", ""]
number = st.sampled_from(NUMBERS) | st.floats(-0.1, 1.1).map(str)
line = st.lists(number, max_size=14).map(" ".join)
labels = st.lists(line, max_size=8).map("\n".join).map(str.encode) | st.binary(max_size=60)

scalar = st.sampled_from(
    ["images", "../images", "/", ".", "~", "null", "*a", "&a x", "!!set {}", "'", "0", "3", "[", "\t"]
)
value = st.recursive(
    scalar,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda found: f"[{', '.join(found)}]")
        | st.dictionaries(scalar, inner, max_size=3).map(
            lambda found: f"{{{', '.join(map(': '.join, found.items()))}}}"
        )
    ),
    max_leaves=8,
)
KEYS = ["names", "nc", "path", "train", "val", "validation", "test", "kpt_shape", "flip_idx", "kpt_names", "task"]
yaml = st.dictionaries(st.sampled_from(KEYS), value, max_size=6).map(
    lambda found: "\n".join(f"{key}: {said}" for key, said in found.items()).encode()
) | st.binary(max_size=60)

tag = st.sampled_from(
    ["object", "name", "bndbox", "xmin", "ymin", "xmax", "ymax", "size", "width", "height", "filename"]
)
element = st.recursive(
    st.sampled_from([*NUMBERS[:8], "cat", "../1", "&x;", "<![CDATA[x]]>"]),
    lambda inner: st.lists(st.tuples(tag, inner), max_size=5).map(
        lambda found: "".join(f"<{name}>{said}</{name}>" for name, said in found)
    ),
    max_leaves=12,
)
xml = element.map(lambda said: f"<annotation>{said}</annotation>".encode()) | st.binary(max_size=60)


def check(found: Outcome) -> None:
    """What was read is fit for the annotations document, and what was told is fit to be stored and shown."""
    for image in found.images.values():
        assert image.split in ("", *SPLITS)
        for each in image.objects:
            assert 0 <= each.category_id < len(found.categories)
            box = each.box
            assert 0 <= box.x_min < box.x_max <= image.width
            assert 0 <= box.y_min < box.y_max <= image.height
            assert len(each.keypoints) in (0, len(found.categories[each.category_id].keypoint_names))
    assert len(set(found.names)) == len(found.names)
    for problem in found.problems:
        assert problem.message.isprintable()
        assert len(problem.message) < 1000


@settings(max_examples=100, deadline=None)
@given(yaml, labels, labels)
def test_any_yolo_dataset(described: bytes, first: bytes, second: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = {
            "data.yaml": described,
            "images/1.png": IMAGE,
            "labels/1.txt": first,
            "images/2.png": IMAGE,
            "labels/2.txt": second,
        }
        dataset = make_dataset(Path(folder) / "data", files)
        check(read(read_yolo, dataset))
        detect(FolderSource(dataset))


@settings(max_examples=100, deadline=None)
@given(xml, xml, labels)
def test_any_voc_dataset(first: bytes, second: bytes, listed: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = {
            "Annotations/1.xml": first,
            "Annotations/2.xml": second,
            "JPEGImages/1.png": IMAGE,
            "JPEGImages/3.png": IMAGE,
            "ImageSets/Main/train.txt": b"1\n" + listed,
        }
        dataset = make_dataset(Path(folder) / "data", files)
        check(read(read_voc, dataset))
        detect(FolderSource(dataset))
