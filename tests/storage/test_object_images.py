"""Validation images of models that find objects: their format, and what is made of them."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest

from storage.objects.object_images import ObjectImage, ObjectMatch, Outcome
from storage.objects.validation_images import ValidationImage, ValidationImages, encode

CLASSES = ["cat", "dog", "owl"]
BOX, OTHER = (1.0, 2.0, 30.0, 40.0), (2.0, 2.0, 31.25, 40.0)
CORNERS = (1.0, 0.0, 9.0, 1.0, 8.0, 9.0, 0.0, 8.0)
HIT = ObjectMatch(0, 0, 0.9, 0.8, BOX, OTHER)
MISS = ObjectMatch(1, None, None, None, BOX, None)
FALSE_ALARM = ObjectMatch(None, 1, 0.5, None, None, OTHER)
WRONG_CLASS = ObjectMatch(0, 2, 0.75, 0.5, CORNERS, CORNERS)
IMAGES = [
    ObjectImage("val/d.png", 640, 480, (HIT, MISS)),
    ObjectImage("val/a.png", 640, 480, (HIT, HIT)),
    ObjectImage("val/c.png", 64, 48, (WRONG_CLASS, FALSE_ALARM)),
    ObjectImage("val/b.png", 1, 1, ()),
]


def decoded() -> ValidationImages:
    return ValidationImages.decode(encode(3, CLASSES, IMAGES))


def test_what_is_written_is_read_by_path() -> None:
    images = decoded()
    assert (images.epoch, list(images.class_names), images.of_objects) == (3, CLASSES, True)
    assert [images[place] for place in range(4)] == [IMAGES[place] for place in (1, 3, 2, 0)]
    assert [images[place].correct for place in range(4)] == [True, True, False, False]
    assert [images[place].loss for place in range(4)] == [0, 0, 2.25, 1]
    assert encode(3, CLASSES, reversed(IMAGES)) == encode(3, CLASSES, IMAGES)
    assert [item.outcome for item in (HIT, MISS, FALSE_ALARM, WRONG_CLASS)] == [*Outcome]
    fine = replace(HIT, confidence=1 / 3, truth_box=(1 / 3, 0, 1, 1))
    [read] = ValidationImages.decode(encode(1, CLASSES, [ObjectImage("a", 2, 2, (fine,))]))[0].objects  # type: ignore[union-attr]
    # Seven digits, as many as a float32 has, and hundredths of a pixel.
    assert (read.confidence, read.truth_box) == (0.3333333, (0.33, 0, 1, 1))
    assert json.loads(gzip.decompress(encode(3, CLASSES, IMAGES)).splitlines()[0])["version"] == 2


def test_objects_are_counted_by_true_and_predicted_class() -> None:
    assert decoded().confusion_matrix() == [[3, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]]


def test_images_are_selected_by_one_object_and_sorted() -> None:
    images = decoded()
    assert images.select() == [0, 1, 2, 3]
    assert images.select(correct=True) == [0, 1] and images.select(correct=False) == [2, 3]
    assert images.select(label_id=0) == [0, 2, 3] and images.select(label_id=2) == []
    assert images.select(predicted_id=1) == [2] and images.select(predicted_id=0) == [0, 3]
    assert images.select(label_id=0, predicted_id=2) == [2]
    assert images.select(label_id=0, predicted_id=1) == []  # the two are met by different objects
    # Of images that are wrong, the object must be what is wrong: the cat of the last one is a hit.
    assert images.select(correct=False, label_id=0) == [2] and images.select(correct=False, label_id=1) == [3]
    assert images.select(correct=True, label_id=0) == [0]
    assert images.by_loss([0, 1, 2, 3], largest_first=True) == [2, 3, 0, 1]


@pytest.mark.parametrize(
    "image",
    [
        ObjectImage("a", 0, 4, ()),
        ObjectImage("a", 4, 1 << 31, ()),
        ObjectImage("a", 4, 4, (replace(HIT, label_id=3),)),
        ObjectImage("a", 4, 4, (replace(HIT, predicted_id=-1),)),
        ObjectImage("a", 4, 4, (replace(HIT, confidence=1.5),)),
        ObjectImage("a", 4, 4, (replace(HIT, confidence=None),)),
        ObjectImage("a", 4, 4, (replace(HIT, iou=None),)),
        ObjectImage("a", 4, 4, (replace(HIT, iou=float("nan")),)),
        ObjectImage("a", 4, 4, (replace(HIT, truth_box=None),)),
        ObjectImage("a", 4, 4, (replace(HIT, predicted_box=(1.0, 2.0, 3.0)),)),
        ObjectImage("a", 4, 4, (replace(MISS, predicted_box=BOX),)),
        ObjectImage("a", 4, 4, (replace(FALSE_ALARM, iou=0.5),)),
        ObjectImage("a", 4, 4, (replace(MISS, truth_box=(1.0, 2.0, 3.0, float("inf"))),)),
        ObjectImage("a", 4, 4, (ObjectMatch(None, None, None, None, None, None),)),
    ],
)
def test_what_is_no_row_is_not_written(image: ObjectImage) -> None:
    with pytest.raises(ValueError):
        encode(1, CLASSES, [image])


def test_images_of_both_kinds_are_no_file() -> None:
    with pytest.raises(ValueError, match="some have objects"):
        encode(1, CLASSES, [IMAGES[0], ValidationImage("a", 0, ((0, 0.5),), 1.0)])


def with_objects(objects: object, **others: object) -> bytes:
    head = {"class_names": CLASSES, "epoch": 1, "images": 1, "kind": "validation_images", "version": 2}
    row = {"path": "a", "width": 9, "height": 9, "objects": objects, **others}
    return gzip.compress(f"{json.dumps(head)}\n{json.dumps(row)}\n".encode())


@pytest.mark.parametrize(
    "data",
    [
        with_objects(None),
        with_objects(7),
        with_objects([7]),
        with_objects([[]]),
        with_objects([[0, 0, 0.5, 0.5, BOX]]),
        with_objects([[0, 0, 0.5, 0.5, BOX, BOX, 1]]),
        with_objects([["0", 0, 0.5, 0.5, BOX, BOX]]),
        with_objects([[True, 0, 0.5, 0.5, BOX, BOX]]),
        with_objects([[0, 10**30, 0.5, 0.5, BOX, BOX]]),
        with_objects([[0, 0, "half", 0.5, BOX, BOX]]),
        with_objects([[0, 0, 0.5, 0.5, BOX, "nowhere"]]),
        with_objects([[0, 0, 0.5, 0.5, BOX, [1, 2, 3, 10**400]]]),
        with_objects([[0, 0, 0.5, 0.5, BOX, {"x": 1}]]),
        with_objects([[0, None, None, None, [1, 2, 3, float("nan")], None]]),
        with_objects([], path=7),
        with_objects([], width="9"),
        with_objects([], height=9.0),
        with_objects([], width=True),
        gzip.compress(gzip.decompress(with_objects([])).replace(b'"width"', b'"breadth"')),
        gzip.compress(gzip.decompress(with_objects([])).replace(b'"version": 2', b'"version": 1')),
    ],
)
def test_anything_else_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        ValidationImages.decode(data)


def test_an_image_without_objects_is_read() -> None:
    assert ValidationImages.decode(with_objects([]))[0] == ObjectImage("a", 9, 9, ())
