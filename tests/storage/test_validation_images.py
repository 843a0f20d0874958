from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest

from storage.objects import keys
from storage.objects.validation_images import ValidationImage, ValidationImages, encode

CLASSES = ["cat", "dog", "Käuzchen\u2028"]
IMAGES = [
    ValidationImage("val/b.png", 1, ((1, 0.75), (0, 0.25)), 0.25),
    ValidationImage("val/a \u2028\n.png", 0, ((2, 0.5), (1, 0.25)), 2.5),
    ValidationImage("val/c.png", 2, ((1, 1.0), (0, 0.0)), 9.0),
    ValidationImage("val/d.png", 1, ((1, 1 / 3),), 0.25),
]


def test_what_is_written_is_read_by_path() -> None:
    images = ValidationImages.decode(encode(3, CLASSES, IMAGES))
    assert (images.epoch, list(images.class_names), len(images)) == (3, CLASSES, 4)
    assert images[0] == IMAGES[1] and images[1] == IMAGES[0]
    # Seven digits, as many as a float32 has.
    assert images[3] == replace(IMAGES[3], predictions=((1, 0.3333333),))
    assert [image.correct for image in (images[0], images[1])] == [False, True]
    assert images.confusion_matrix() == [[0, 0, 1], [0, 2, 0], [0, 1, 0]]
    assert encode(3, CLASSES, reversed(IMAGES)) == encode(3, CLASSES, IMAGES)


def test_images_are_selected_and_sorted() -> None:
    images = ValidationImages.decode(encode(3, CLASSES, IMAGES))
    assert images.select() == [0, 1, 2, 3]
    assert images.select(correct=True) == [1, 3] and images.select(correct=False) == [0, 2]
    assert images.select(label_id=1) == [1, 3] and images.select(predicted_id=1) == [1, 2, 3]
    assert images.select(correct=False, predicted_id=1) == [2]
    assert images.by_loss([0, 1, 2, 3], largest_first=True) == [2, 0, 1, 3]  # of equals the first path
    assert images.by_loss([0, 1, 2, 3], largest_first=False) == [1, 3, 0, 2]


def test_no_images_are_no_rows() -> None:
    assert len(ValidationImages.decode(encode(1, CLASSES, []))) == 0


@pytest.mark.parametrize(
    "image",
    [
        ValidationImage("a.png", 3, ((0, 0.5),), 1.0),
        ValidationImage("a.png", 0, ((-1, 0.5),), 1.0),
        ValidationImage("a.png", 0, ((0, 1.5),), 1.0),
        ValidationImage("a.png", 0, ((0, 0.5),), float("inf")),
        ValidationImage("a.png", 0, (), 1.0),
    ],
)
def test_what_is_no_row_is_not_written(image: ValidationImage) -> None:
    with pytest.raises(ValueError):
        encode(1, CLASSES, [image])


def changed(**head: object) -> bytes:
    """An object with another head."""
    first, *lines = gzip.decompress(encode(1, CLASSES, IMAGES)).split(b"\n")
    return gzip.compress(b"\n".join([json.dumps({**json.loads(first), **head}).encode(), *lines]))


def with_row(row: object) -> bytes:
    head = {"class_names": CLASSES, "epoch": 1, "images": 1, "kind": "validation_images", "version": 1}
    return gzip.compress(f"{json.dumps(head)}\n{json.dumps(row)}\n".encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not gzip",
        encode(1, CLASSES, IMAGES)[:-9],
        gzip.compress(b"", mtime=0),
        gzip.compress(b"[]", mtime=0),
        gzip.compress(b"\xff\n", mtime=0),
        changed(version=2),
        changed(version=3),
        changed(version=True),
        changed(kind="manifest"),
        changed(images=3),
        changed(class_names=["cat"]),
        changed(class_names=None),
        changed(epoch=None),
        with_row([]),
        with_row({}),
        with_row({"path": "a", "label_id": "0", "predictions": [[0, 1]], "loss": 1}),
        with_row({"path": "a", "label_id": True, "predictions": [[0, 1]], "loss": 1}),
        with_row({"path": 1, "label_id": 0, "predictions": [[0, 1]], "loss": 1}),
        with_row({"path": "a", "label_id": 0, "predictions": [[0]], "loss": 1}),
        with_row({"path": "a", "label_id": 0, "predictions": 7, "loss": 1}),
        with_row({"path": "a", "label_id": 0, "predictions": [[0, float("nan")]], "loss": 1}),
        with_row({"path": "a", "label_id": 0, "predictions": [[10**30, 1]], "loss": 1}),
        with_row({"path": "a", "label_id": 0, "predictions": [[0, 1]], "loss": 10**400}),
    ],
)
def test_anything_else_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        ValidationImages.decode(data)


def test_a_key_tells_its_job() -> None:
    key = keys.validation_images("a project/of ours", "job_1", "c1")
    assert key.startswith(keys.VALIDATION_IMAGES) and key.count("/") == 3
    assert keys.checkpoint_object(key) == keys.CheckpointObject(key, "job_1", "c1")
    prefix = keys.checkpoint_prefix("a project/of ours", "job_1", "c1")
    assert keys.checkpoint_object(f"{prefix}weights.safetensors") == keys.CheckpointObject(prefix, "job_1", "c1")
    below = keys.job_prefixes("a project/of ours", "job_1")
    assert prefix.startswith(below[0]) and key.startswith(below[1])
    for stray in ("checkpoints/readme.txt", f"{prefix}a/b", "validation_images/p/j/c.txt", "datasets/a/b/c/d"):
        assert keys.checkpoint_object(stray) is None
