"""The format of a dataset is told from its names and first bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from annotations.formats.detection import COCO, DICE, IMAGE_FOLDER, VOC, YOLO, detect
from annotations.formats.readers import READERS
from tests.annotations.dataset_folder import IMAGE, make_dataset, read
from tests.annotations.folder_source import FolderSource

BOX = "0 0.5 0.5 0.5 0.5\n"
XML = "<?xml version='1.0'?>\n<annotation><object><name>cat</name></object></annotation>"
OBJECT = {"image_id": 1, "category_id": 1, "class_id": 0, "bbox": [10, 10, 50, 50]}
COCO_IMAGES = [{"id": 1, "file_name": "1.jpg", "width": 200, "height": 100}]
COCO_JSON = json.dumps({"info": {}, "licenses": [], "images": COCO_IMAGES, "annotations": [], "categories": []})
# Images alone fill the first bytes, as in COCO's own files.
LONG_COCO_JSON = json.dumps({"images": COCO_IMAGES * 20_000, "annotations": [], "categories": []})
DICE_JSON = json.dumps(
    {"categories": [], "images": [*COCO_IMAGES, {**COCO_IMAGES[0], "split": "val"}], "annotations": []}
)
NESTED_JSON = json.dumps({"classes": ["cat"], "images": [{"file_name": "1.jpg", "annotations": [OBJECT]}]})

LAYOUTS = {
    "ultralytics": (
        {"data.yaml": "path: .\ntrain: images/train\nval: images/val\nnames: [cat]\n", "images/train/1.jpg": IMAGE},
        YOLO,
        "data.yaml names the folders of its splits",
    ),
    "roboflow yolo": (
        {
            "train/images/1.jpg": IMAGE,
            "train/labels/1.txt": BOX,
            "valid/images/2.jpg": IMAGE,
            "valid/labels/2.txt": BOX,
            "data.yaml": "train: ../train/images\nval: ../valid/images\nnc: 1\nnames: ['cat']\n",
            "README.roboflow.txt": "cats",
        },
        YOLO,
        "data.yaml names the folders of its splits",
    ),
    "yolo with names alone": (
        {"coins.yml": "names:\n  0: cat\n", "images/1.jpg": IMAGE, "labels/1.txt": BOX},
        YOLO,
        "coins.yml names the classes",
    ),
    "yolo in braces": (
        {"data.yaml": "{names: [cat]}", "images/1.jpg": IMAGE},
        YOLO,
        "data.yaml is called as ultralytics",
    ),
    "label studio": (
        {
            "classes.txt": "cat",
            "images/1.jpg": IMAGE,
            "images/2.jpg": IMAGE,
            "labels/1.txt": "",
            "labels/2.txt": BOX,
            "notes.json": json.dumps({"categories": [{"id": 0, "name": "cat"}], "info": {}}),
        },
        YOLO,
        "labels/2.txt holds a line of numbers",
    ),
    "darknet": (
        {"obj_train_data/1.jpg": IMAGE, "obj_train_data/1.txt": BOX},
        YOLO,
        "obj_train_data/1.txt holds a line",
    ),
    "coco 2017": (
        {
            "annotations/instances_train2017.json": LONG_COCO_JSON,
            "annotations/instances_val2017.json": COCO_JSON,
            "annotations/captions_val2017.json": "{}",
            "train2017/1.jpg": IMAGE,
            "val2017/1.jpg": IMAGE,
        },
        COCO,
        "annotations/instances_train2017.json lists images and annotations",
    ),
    "roboflow coco": (
        {"train/_annotations.coco.json": COCO_JSON, "train/1.jpg": IMAGE, "valid/_annotations.coco.json": COCO_JSON},
        COCO,
        "train/_annotations.coco.json lists images and annotations",
    ),
    "coco at the root": ({"annotations.json": COCO_JSON, "images/1.jpg": IMAGE}, COCO, "but no splits"),
    "coco with annotations first": (
        {
            "all.json": json.dumps({"annotations": [OBJECT] * 20_000, "images": COCO_IMAGES, "categories": []}),
            "1.jpg": IMAGE,
        },
        COCO,
        "all.json lists images and annotations",
    ),
    "coco with images last": (
        {
            "all.json": json.dumps({"annotations": [OBJECT], "categories": [], "images": []}),
            "a/1.jpg": IMAGE,
            "b/1.jpg": IMAGE,
        },
        COCO,
        "all.json lists images and annotations",
    ),
    "voc 2012": (
        {
            "Annotations/2007_1.xml": XML,
            "JPEGImages/2007_1.jpg": IMAGE,
            "ImageSets/Main/train.txt": "2007_1",
            "ImageSets/Main/cat_train.txt": "2007_1 1",
            "SegmentationClass/2007_1.png": IMAGE,
        },
        VOC,
        "Annotations/2007_1.xml describes an image",
    ),
    "roboflow voc": (
        {"train/1.xml": XML, "train/1.jpg": IMAGE, "valid/2.xml": XML, "valid/2.jpg": IMAGE},
        VOC,
        "train/1.xml",
    ),
    "dice": (
        {"annotations.json": DICE_JSON, "images/1.jpg": IMAGE},
        DICE,
        "annotations.json says the split of its images",
    ),
    "dice nested": ({"annotations.json": NESTED_JSON, "images/1.jpg": IMAGE}, DICE, "annotations inside its images"),
    "dice classification": (
        {"train/cat/1.jpg": IMAGE, "train/dog/1.jpg": IMAGE, "val/cat/2.jpg": IMAGE, "readme.txt": "cats"},
        DICE,
        "train/cat holds images: folders say their splits and classes",
    ),
    "class folders": (
        {"cat/1.jpg": IMAGE, "dog/deep/1.jpg": IMAGE, "config.yaml": "train: {lr: 1}\nval: 3\n"},
        IMAGE_FOLDER,
        "cat holds images: folders say their classes",
    ),
}


@pytest.mark.parametrize("top", ["", "export/"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_detected_and_its_evidence_told(tmp_path: Path, layout: str, top: str) -> None:
    files, format, evidence = LAYOUTS[layout]
    folder = make_dataset(tmp_path / "data", {f"{top}{path}": content for path, content in files.items()})

    found = detect(FolderSource(folder))

    assert found is not None
    assert (found.format, evidence in found.evidence) == (format, True), found
    assert "passed over" not in found.evidence
    if "folders say" not in found.evidence:  # whatever is detected can be read
        assert "no_annotations" not in read(READERS[format], folder).kinds


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"readme.txt": "nothing"},
        {"1.jpg": IMAGE},
        {"images/1.jpg": IMAGE},
        {"train/images/1.jpg": IMAGE, "val/images/1.jpg": IMAGE},
        {"images/train/1.jpg": IMAGE, "images/val/1.jpg": IMAGE},
        {"notes.json": "[1, 2", "other.json": "{}", "1.xml": "<html/>", "1.txt": "0 1 2 3 4"},
        {"images/1.jpg": IMAGE, "labels/1.txt": "a cat on a mat"},
        {".data.yaml": "names: [cat]", "__MACOSX/annotations.json": DICE_JSON, ".git/1.xml": XML},
        {"settings.yaml": "lr0: 1\n"},
    ],
)
def test_what_fits_no_format_is_not_guessed(tmp_path: Path, files: dict[str, object]) -> None:
    (tmp_path / "data").mkdir()

    assert detect(FolderSource(make_dataset(tmp_path / "data", files))) is None


def test_what_else_was_seen_is_told(tmp_path: Path) -> None:
    files = {
        "data.yaml": "names: [cat]",
        "images/1.jpg": IMAGE,
        "labels/1.txt": BOX,
        "labels/1.xml": XML,
        "coco.json": COCO_JSON,
    }

    found = detect(FolderSource(make_dataset(tmp_path / "data", files)))

    assert found is not None
    assert found.format == YOLO
    assert found.evidence == (
        "data.yaml names the classes; passed over: coco.json lists images and annotations (COCO); "
        "labels/1.xml describes an image as Pascal VOC does (VOC)"
    )


def test_a_data_yaml_without_labels_does_not_hide_class_folders(tmp_path: Path) -> None:
    files = {
        "data.yaml": "train: train\nval: val\nnames: [cat, dog]",
        "train/cat/1.jpg": IMAGE,
        "train/dog/2.jpg": IMAGE,
    }

    found = detect(FolderSource(make_dataset(tmp_path / "data", files)))

    assert found is not None
    assert found.format == DICE


def test_every_format_with_files_of_annotations_has_a_reader() -> None:
    assert set(READERS) == {DICE, YOLO, COCO, VOC}
