"""DICE's annotations.json, flat and nested."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from annotations.formats.dice import annotations_path, read_dice
from annotations.model import Box, Keypoint, Visibility
from annotations.problems import ERROR, WARNING
from tests.annotations.coco_content import annotation, coco, image
from tests.annotations.folder_source import FolderSource, save_image
from tests.annotations.reading import read_folder, write_json

CATEGORIES = [{"id": 2, "name": "__background__"}, {"id": 1, "name": "cat"}, {"id": 5, "name": "dog"}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with ``images/1.jpg`` to ``images/4.jpg``."""
    for number in (1, 2, 3, 4):
        save_image(tmp_path / f"images/{number}.jpg")
    return tmp_path


def listed(**splits: str) -> list[dict[str, Any]]:
    """The four images; ``_1="train"`` puts the first into a split."""
    images = [image(id, f"images/{id}.jpg") for id in (1, 2, 3, 4)]
    for key, split in splits.items():
        images[int(key[1:]) - 1]["split"] = split
    return images


@pytest.mark.parametrize("around", ["", "shapes/", "train/"])
def test_images_name_their_splits_and_background_is_no_class(tmp_path: Path, around: str) -> None:
    for number in (1, 2, 3, 4):
        save_image(tmp_path / around / f"images/{number}.jpg")
    content = coco(
        listed(_1="train", _2="val", _3="test"),
        [annotation(1, 1, 1), annotation(2, 2, 5), {"id": 3, "image_id": 3, "category_id": 2}],
        CATEGORIES,
        storage_info={"storage_type": "s3", "image_root": "datasets/x/images/"},
    )
    write_json(tmp_path / around / "annotations.json", content)

    result = read_folder(read_dice, tmp_path)

    assert result.problems == []
    assert result.class_names == ["cat", "dog"]
    assert {path.removeprefix(around): split for path, split in result.splits.items()} == {
        "images/1.jpg": "train",
        "images/2.jpg": "val",
        "images/3.jpg": "test",
        "images/4.jpg": "",
    }
    assert [len(image.objects) for image in result.images.values()] == [1, 1, 0, 0]


@pytest.mark.parametrize("classes_first", [True, False])
def test_the_nested_variant_is_read_as_well(folder: Path, classes_first: bool) -> None:
    classes = {"classes": [{"id": 1, "name": "cat"}, {"id": 5, "name": "dog", "keypoints": ["nose"]}]}
    images = listed(_1="train", _2="val")
    images[0]["annotations"] = [
        {"id": 1, "class_id": 5, "bbox": [1, 2, 10, 20], "keypoints": [3, 4, 2]},
        {"id": 2, "class_id": 1, "segmentation": [[1, 2, 11, 2, 11, 22]]},
    ]
    images[1]["annotations"] = []
    content = {**classes, "images": images} if classes_first else {"images": images, **classes}
    write_json(folder / "annotations.json", content)

    result = read_folder(read_dice, folder)

    assert result.problems == []
    assert result.class_names == ["cat", "dog"]
    dog, cat = result.objects("images/1.jpg")
    assert (dog.category_id, dog.box, dog.keypoints) == (1, Box(1, 2, 11, 22), (Keypoint(3, 4, Visibility.VISIBLE),))
    assert (cat.category_id, cat.box) == (0, Box(1, 2, 11, 22))
    assert result.splits["images/2.jpg"] == "val"


def test_nested_images_need_no_ids_and_classes_may_be_mere_names(folder: Path) -> None:
    names = ("1", "2", "3", "4")
    images = [
        {"file_name": f"{name}.jpg", "annotations": [{"class_id": 1, "bbox": [0, 0, int(name), 9]}]} for name in names
    ]
    write_json(folder / "annotations.json", {"classes": ["cat", "dog"], "images": images})

    result = read_folder(read_dice, folder)

    assert result.problems == []
    assert result.class_names == ["cat", "dog"]
    assert [result.objects(f"images/{name}.jpg")[0].box.x_max for name in names] == [1, 2, 3, 4]
    assert {found.category_id for image in result.images.values() for found in image.objects} == {1}


def test_what_is_wrong_in_the_nested_variant_is_told_as_in_the_flat_one(folder: Path) -> None:
    images = listed()
    images[0]["annotations"] = [
        {"id": 7, "class_id": 9, "bbox": [1, 2, 3, 4]},
        None,
        {"class_id": 1, "bbox": [1, 2, 0, 4]},
    ]
    images[1]["file_name"] = "images/missing.jpg"
    images[1]["annotations"] = [{"class_id": 1, "bbox": [1, 2, 3, 4]}]
    write_json(folder / "annotations.json", {"classes": [{"id": 1, "name": "cat"}], "images": images})

    result = read_folder(read_dice, folder)

    assert sorted(result.told) == sorted(
        [
            (WARNING, "image_not_found", "annotations.json"),
            (WARNING, "unknown_class", "annotations.json"),
            (WARNING, "bad_annotation", "annotations.json"),
            (WARNING, "empty_box", "annotations.json"),
            (WARNING, "image_not_listed", "images/2.jpg"),
        ]
    )


def test_other_json_files_are_not_looked_at(folder: Path) -> None:
    write_json(folder / "annotations.json", coco(listed(), [annotation(1, 1, 1)], CATEGORIES))
    write_json(folder / "old/annotations.json", coco([], [], []))
    (folder / "notes.json").write_text("{")

    assert read_folder(read_dice, folder).problems == []


def test_annotations_must_be_at_the_root(folder: Path) -> None:
    write_json(folder / "labels/annotations.json", coco(listed(), [annotation(1, 1, 1)], CATEGORIES))

    assert annotations_path(FolderSource(folder)) is None
    assert read_folder(read_dice, folder).told == [(ERROR, "no_annotations", "")]


def test_labels_without_anything_drawn_are_refused_with_the_way_to_classify(folder: Path) -> None:
    labels = [{"id": 1, "image_id": 1, "category_id": 1}]
    write_json(folder / "annotations.json", coco(listed(), labels, CATEGORIES))

    (problem,) = read_folder(read_dice, folder).problems

    assert (problem.severity, problem.kind, problem.path) == (ERROR, "no_annotations", "annotations.json")
    assert "train/<class>/<image>" in problem.message


def test_a_dataset_of_backgrounds_alone_has_no_class(folder: Path) -> None:
    write_json(folder / "annotations.json", coco(listed(), [{"image_id": 1, "category_id": 2}], CATEGORIES[:1]))

    assert read_folder(read_dice, folder).told == [(ERROR, "bad_category", "annotations.json")]
