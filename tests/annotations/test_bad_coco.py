"""COCO files with something wrong: the rest is read, and every problem names its file and what to do."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from annotations import limits
from annotations.formats import coco_classes, coco_survey
from annotations.formats.coco import read_coco
from annotations.formats.dice import read_dice
from annotations.model import Box
from annotations.problems import ERROR, WARNING
from tests.annotations.coco_content import CATEGORIES, annotation, coco, image
from tests.annotations.folder_source import save_image
from tests.annotations.reading import Result, read_folder, write_json

GOOD = coco([image(1, "a.jpg")], [annotation(1, 1)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one image, ``a.jpg``."""
    save_image(tmp_path / "a.jpg")
    return tmp_path


def read(folder: Path, content: object) -> Result:
    write_json(folder / "all.json", content)
    return read_folder(read_coco, folder)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (json.dumps(GOOD).encode()[:-40], "is cut short"),
        (json.dumps(GOOD).encode()[:30], "is cut short"),
        (b"", "is cut short"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "is not text in UTF-8"),
        (b"<annotation></annotation>", "is no JSON"),
        (json.dumps(GOOD).encode() * 2, "goes on where its JSON ends"),
        (b'{"images": [], "annotations": [' + b"[" * 200_000, "is nested too deeply"),
        (b'{"images": [], "annotations": [' + b"1" * 200_000 + b"]}", "a number of too many digits"),
        (json.dumps({**GOOD, "images": {"1": "a.jpg"}}).encode(), "has images that are no list"),
        (json.dumps({**GOOD, "annotations": None}).encode(), "has annotations that are no list"),
        (json.dumps({**GOOD, "categories": "cat"}).encode(), "has categories that are no list"),
    ],
)
@pytest.mark.parametrize("reader", [read_coco, read_dice])
def test_a_file_that_cannot_be_read_is_an_error_that_says_why(
    folder: Path, data: bytes, why: str, reader: Callable[..., None]
) -> None:
    (folder / "annotations.json").write_bytes(data)

    result = read_folder(reader, folder)

    (problem,) = result.problems
    assert (problem.severity, problem.kind, problem.path) == (ERROR, "unreadable_annotations", "annotations.json")
    assert why in problem.message and problem.message.endswith("Export it again, and upload it whole.")
    assert result.images == {}


def test_one_unreadable_file_does_not_hide_the_problems_of_another(folder: Path) -> None:
    (folder / "val.json").write_text("{")
    write_json(folder / "train.json", coco([image(1, "a.jpg")], [annotation(1, 1, 99)]))

    result = read_folder(read_coco, folder)

    assert result.told == [
        (ERROR, "unreadable_annotations", "val.json"),
        (WARNING, "unknown_class", "train.json"),
    ]


@pytest.mark.parametrize("content", [[], {}, [1, 2], {"images": "images/"}, {"version": "4.5", "shapes": []}])
def test_json_that_is_about_something_else_is_passed_over(folder: Path, content: object) -> None:
    write_json(folder / "settings.json", content)

    result = read(folder, GOOD)

    assert result.told == [(WARNING, "annotations_ignored", "settings.json")]
    assert len(result.objects("a.jpg")) == 1


def test_a_folder_without_a_coco_file_is_an_error(folder: Path) -> None:
    assert read_folder(read_coco, folder).told == [(ERROR, "no_annotations", "")]

    write_json(folder / "captions.json", coco([image(1, "a.jpg")], [{"image_id": 1, "caption": "A cat."}]))
    assert read_folder(read_coco, folder).told == [
        (WARNING, "annotations_ignored", "captions.json"),
        (ERROR, "no_annotations", ""),
    ]


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"bbox": [math.nan, 2, 10, 20]}, "bad_annotation"),
        ({"bbox": [1, 2, math.inf, 20]}, "bad_annotation"),
        ({"bbox": [1, 2, 10**30, 20]}, "bad_annotation"),
        ({"bbox": ["1", 2, 10, 20]}, "bad_annotation"),
        ({"bbox": [1, 2, 10]}, "bad_annotation"),
        ({"bbox": {"x": 1}}, "bad_annotation"),
        ({"bbox": None}, "bad_annotation"),
        ({"bbox": [1, 2, 0, 20]}, "empty_box"),
        ({"bbox": [1, 2, 10, -20]}, "empty_box"),
        ({"bbox": [100, 2, 10, 20]}, "box_outside_image"),
        ({"bbox": [-10, -20, 10, 20]}, "box_outside_image"),
        ({"segmentation": "polygon"}, "bad_annotation"),
        ({"segmentation": [[1, 2, math.nan, 2, 11, 22]]}, "bad_annotation"),
        ({"segmentation": [[1, 2, 11, 2, 11]]}, "bad_annotation"),
        ({"segmentation": {"size": [48, 64]}}, "bad_annotation"),
        ({"segmentation": {"size": [48, 64], "counts": [1, 2]}}, "bad_annotation"),
        ({"segmentation": {"size": [48, 64], "counts": [-1, 48 * 64 + 1]}}, "bad_annotation"),
        ({"segmentation": {"size": [48, 64], "counts": "not counts"}}, "bad_annotation"),
        ({"segmentation": {"size": [48, 64], "counts": "\x00"}}, "bad_annotation"),
        ({"segmentation": {"size": [10**9, 10**9], "counts": [10**18]}}, "bad_annotation"),
        ({"segmentation": {"size": [10, 10], "counts": [100]}}, "bad_annotation"),
        ({"category_id": 99}, "unknown_class"),
        ({"category_id": None}, "unknown_class"),
        ({"category_id": [3]}, "unknown_class"),
        ({"image_id": 99}, "annotation_without_image"),
        ({"image_id": None}, "annotation_without_image"),
        ({"image_id": {"id": 1}}, "annotation_without_image"),
        ({"image_id": math.nan}, "annotation_without_image"),
    ],
)
def test_a_bad_annotation_is_left_out_and_the_others_stay(folder: Path, changed: dict[str, Any], kind: str) -> None:
    bad = {**annotation(7, 1), **changed}

    result = read(folder, coco([image(1, "a.jpg")], [annotation(6, 1), bad, annotation(8, 1)]))

    assert [found.box for found in result.objects("a.jpg")] == [Box(1, 2, 11, 22)] * 2
    (problem,) = result.problems
    assert (problem.severity, problem.kind, problem.path) == (WARNING, kind, "all.json")
    assert problem.message.startswith("Annotation 7 ") and "left out" in problem.message


@pytest.mark.parametrize("entry", [None, 5, "x", [1]])
def test_an_annotation_that_is_no_object_is_left_out(folder: Path, entry: object) -> None:
    result = read(folder, coco([image(1, "a.jpg")], [entry, annotation(8, 1)]))

    assert result.told == [(WARNING, "bad_annotation", "all.json")]
    assert len(result.objects("a.jpg")) == 1


def test_a_box_across_the_border_is_clipped_and_told_of(folder: Path) -> None:
    result = read(folder, coco([image(1, "a.jpg")], [annotation(7, 1, bbox=[60, 40, 100, 100])]))

    assert [found.box for found in result.objects("a.jpg")] == [Box(60, 40, 64, 48)]
    assert result.told == [(WARNING, "box_outside_image", "all.json")]


def test_an_image_that_is_listed_and_missing_or_broken_is_left_out_with_its_annotations(folder: Path) -> None:
    (folder / "broken.jpg").write_bytes(b"no image")
    listed = [image(1, "a.jpg"), image(2, "missing.jpg"), image(3, "broken.jpg")]

    result = read(folder, coco(listed, [annotation(number, number) for number in (1, 2, 3)]))

    assert list(result.images) == ["a.jpg"]
    assert result.told == [(WARNING, "image_not_found", "all.json")] * 2
    assert ["missing.jpg" in result.problems[0].message, "broken.jpg" in result.problems[1].message] == [True, True]


def test_an_image_that_no_file_lists_is_left_out(folder: Path) -> None:
    save_image(folder / "images/b.png")

    result = read(folder, GOOD)

    assert list(result.images) == ["a.jpg"]
    assert result.told == [(WARNING, "image_not_listed", "images/b.png")]


@pytest.mark.parametrize(
    ("width", "height"), [(640, 480), (48, 64), ("64", "48"), (None, 48), (math.nan, -1), (10**400, 1)]
)
def test_a_size_that_differs_is_told_and_coordinates_stay_pixels(folder: Path, width: Any, height: Any) -> None:
    result = read(folder, coco([image(1, "a.jpg", width, height)], [annotation(1, 1)]))

    assert result.told == [(WARNING, "size_differs", "a.jpg")]
    assert [found.box for found in result.objects("a.jpg")] == [Box(1, 2, 11, 22)]
    assert (result.images["a.jpg"].width, result.images["a.jpg"].height) == (64, 48)


def test_a_size_that_is_not_declared_is_no_problem(folder: Path) -> None:
    assert read(folder, coco([{"id": 1, "file_name": "a.jpg"}], [annotation(1, 1)])).problems == []


@pytest.mark.parametrize("entry", [None, 5, {"id": 2}, {"id": 2, "file_name": 5}, {"id": 2, "file_name": ""}])
def test_an_entry_that_names_no_file_is_left_out(folder: Path, entry: object) -> None:
    result = read(folder, coco([entry, image(1, "a.jpg")], [annotation(1, 1)]))

    assert result.told == [(WARNING, "bad_image", "all.json")]
    assert len(result.objects("a.jpg")) == 1


@pytest.mark.parametrize("id", [None, [1], {"x": 1}, True, math.nan, 1.5])
def test_an_image_without_an_id_is_left_out(folder: Path, id: Any) -> None:
    save_image(folder / "b.jpg")
    result = read(folder, coco([{**image(1, "b.jpg"), "id": id}, image(1, "a.jpg")], [annotation(1, 1)]))

    assert list(result.images) == ["a.jpg"]
    assert "bad_image" in result.kinds


def test_of_images_with_the_same_id_the_first_one_counts(folder: Path) -> None:
    save_image(folder / "b.jpg")
    result = read(folder, coco([image(1, "a.jpg"), image(1, "b.jpg")], [annotation(1, 1)]))

    assert list(result.images) == ["a.jpg"]
    assert result.told[0] == (WARNING, "duplicate_id", "all.json")


def test_annotations_of_an_image_that_is_listed_twice_are_put_together(folder: Path) -> None:
    result = read(folder, coco([image(1, "a.jpg"), image(2, "./a.jpg")], [annotation(1, 1), annotation(2, 2)]))

    assert result.told == [(WARNING, "image_listed_twice", "a.jpg")]
    assert len(result.objects("a.jpg")) == 2


def test_an_image_in_two_files_belongs_to_the_first(folder: Path) -> None:
    for name in ("train.json", "val.json"):
        write_json(folder / name, GOOD)

    result = read_folder(read_coco, folder)

    assert result.splits == {"a.jpg": "train"}
    assert result.told == [(WARNING, "image_listed_twice", "a.jpg")]
    assert len(result.objects("a.jpg")) == 1


def test_a_split_that_is_none_is_told_and_left_to_chance(folder: Path) -> None:
    result = read(folder, coco([image(1, "a.jpg", split="holdout")]))

    assert result.told == [(WARNING, "unknown_split", "all.json")]
    assert result.splits == {"a.jpg": ""}


@pytest.mark.parametrize(
    "entry",
    [
        None,
        5,
        {"name": "cow"},
        {"id": 5},
        {"id": 5, "name": ""},
        {"id": 5, "name": " "},
        {"id": 5, "name": 7},
        {"id": [5], "name": "cow"},
        {"id": 5, "name": "co\x00w"},
        {"id": 5, "name": "co\ud800w"},
        {"id": 5, "name": "cow" * 1000},
        {"id": 5, "name": "cow", "keypoints": ["hoof"] * 5000},
        {"id": 3, "name": "cow"},
    ],
)
def test_a_category_without_an_id_of_its_own_or_a_name_is_an_error(folder: Path, entry: object) -> None:
    result = read(folder, coco([image(1, "a.jpg")], [annotation(1, 1)], [*CATEGORIES, entry]))

    assert result.told == [(ERROR, "bad_category", "all.json")]


def test_a_file_without_categories_is_an_error(folder: Path) -> None:
    result = read(folder, {"images": [image(1, "a.jpg")], "annotations": [annotation(1, 1)]})

    assert result.told == [(ERROR, "bad_category", "all.json")]


def test_categories_of_the_same_name_become_one_class(folder: Path) -> None:
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "cat"}, {"id": 3, "name": "dog"}]
    result = read(folder, coco([image(1, "a.jpg")], [annotation(id, 1, id) for id in (1, 2, 3)], categories))

    assert result.told == [(WARNING, "duplicate_class", "all.json")]
    assert [found.category_id for found in result.objects("a.jpg")] == [0, 0, 1]


def test_keypoints_that_the_category_does_not_name_are_left_out_once_told(folder: Path) -> None:
    given = [annotation(id, 1, keypoints=[1, 2, 2]) for id in (1, 2)]
    result = read(folder, coco([image(1, "a.jpg")], given))

    assert result.told == [(WARNING, "keypoints_without_names", "all.json")]
    assert [found.keypoints for found in result.objects("a.jpg")] == [(), ()]


@pytest.mark.parametrize("points", [[1, 2], [1, 2, 2, 3, 4, 2], [1, 2, 9], "nose", [None, 2, 2]])
def test_keypoints_that_do_not_fit_the_category_leave_the_object_out(folder: Path, points: object) -> None:
    categories = [{"id": 3, "name": "person", "keypoints": ["nose"], "skeleton": "none"}]
    result = read(folder, coco([image(1, "a.jpg")], [annotation(1, 1, keypoints=points)], categories))

    assert result.told == [(WARNING, "bad_annotation", "all.json")]
    assert result.objects("a.jpg") == ()


def test_a_hundred_thousand_classes_are_too_many(folder: Path) -> None:
    categories = [{"id": number, "name": f"class {number}"} for number in range(100_000)]
    result = read(folder, coco([image(1, "a.jpg")], [], categories))

    assert result.told == [(ERROR, "too_many_classes", "all.json")]
    assert str(limits.MAX_CLASSES) in result.problems[0].message
    assert result.categories == ()


def test_classes_of_all_files_together_may_be_too_many(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (coco_survey, coco_classes):
        monkeypatch.setattr(module, "MAX_CLASSES", 3)
    for name, ids in (("train", (1, 2)), ("val", (3, 4))):
        write_json(folder / f"{name}.json", coco([], [], [{"id": id, "name": f"class {id}"} for id in ids]))

    assert read_folder(read_coco, folder).told == [(ERROR, "too_many_classes", "")]


def test_more_images_than_memory_is_for_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coco_survey, "MAX_LISTED_IMAGES", 3)

    result = read(folder, coco([image(number, f"{number}.jpg") for number in range(4)]))

    assert result.told == [(ERROR, "unreadable_annotations", "all.json")]
    assert "more than 3 images" in result.problems[0].message


def test_hostile_names_end_in_messages_that_can_be_shown_and_stored(folder: Path) -> None:
    names = ["\x1b[31m.jpg", "\ud800.jpg", "a" * 100_000, "x\x00.jpg", "line\nbreak.jpg"]
    listed = [image(number, name, split=name) for number, name in enumerate(names)]

    result = read(folder, coco(listed, [annotation(1, "\ud800\x00"), {**annotation(2, 1), "id": "\x00"}]))

    for problem in result.problems:
        problem.message.encode()
        assert problem.message.isprintable() and len(problem.message) < 1000
