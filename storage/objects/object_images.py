"""What a model found on a validation image beside what is there: matched, missed, or invented."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

# Corners of a box as numbers: x_min, y_min, x_max, y_max, or x and y of each of the four of a rotated one.
BOX_NUMBERS = (4, 8)
_DIGITS = ".7g"
# Hundredths of a pixel.
_PLACES = 2
_ROW = ("path", "width", "height", "objects")
_NONE = -1

Box = tuple[float, ...]


class Outcome(StrEnum):
    """What became of an object: a name of ``ObjectOutcome`` without its prefix."""

    HIT = "HIT"
    MISS = "MISS"
    FALSE_ALARM = "FALSE_ALARM"
    WRONG_CLASS = "WRONG_CLASS"


@dataclass(frozen=True)
class ObjectMatch:
    """An object that is there, one that was found, or both where one was taken for the other.

    What belongs to the one that is not there is None, and ``iou`` without both. Boxes are in pixels of the image.
    """

    label_id: int | None
    predicted_id: int | None
    confidence: float | None
    iou: float | None
    truth_box: Box | None
    predicted_box: Box | None

    @property
    def outcome(self) -> Outcome:
        """What became of it."""
        if self.predicted_id is None:
            return Outcome.MISS
        if self.label_id is None:
            return Outcome.FALSE_ALARM
        return Outcome.HIT if self.label_id == self.predicted_id else Outcome.WRONG_CLASS


@dataclass(frozen=True)
class ObjectImage:
    """One image, ``width`` × ``height`` pixels when upright, and its objects."""

    path: str
    width: int
    height: int
    objects: tuple[ObjectMatch, ...]

    @property
    def correct(self) -> bool:
        """Whether every object was found, as what it is, and nothing else."""
        return all(item.outcome is Outcome.HIT for item in self.objects)

    @property
    def loss(self) -> float:
        """How wrong it is: 1 for each object that was missed or taken for another class, and the confidence of each
        find that is none, or of another class."""
        missed = sum(item.outcome in (Outcome.MISS, Outcome.WRONG_CLASS) for item in self.objects)
        invented = (Outcome.FALSE_ALARM, Outcome.WRONG_CLASS)
        return missed + math.fsum(item.confidence or 0.0 for item in self.objects if item.outcome in invented)


class ObjectIndex:
    """What object images are selected and counted by, in little memory."""

    def __init__(self) -> None:
        self._correct = bytearray()
        self._ends = array("l")
        self._labels, self._predicted = array("i"), array("i")

    @property
    def memory_bytes(self) -> int:
        """About how much it takes."""
        return 8 * len(self._labels) + 9 * len(self._ends)

    def add(self, image: ObjectImage) -> None:
        """Add the next image."""
        self._correct.append(image.correct)
        for item in image.objects:
            self._labels.append(_NONE if item.label_id is None else item.label_id)
            self._predicted.append(_NONE if item.predicted_id is None else item.predicted_id)
        self._ends.append(len(self._labels))

    def select(self, correct: bool | None, label_id: int | None, predicted_id: int | None) -> list[int]:
        """Places of the images that are ``correct``, and of which one object is of ``label_id`` and was taken for
        ``predicted_id``. Of those that are not correct, it must be an object that was not a hit."""
        by_object = label_id is not None or predicted_id is not None
        found, begin = [], 0
        for place, end in enumerate(self._ends):
            objects = range(begin, end)
            begin = end
            if correct is not None and bool(self._correct[place]) is not correct:
                continue
            if by_object and not any(self._meets(item, correct, label_id, predicted_id) for item in objects):
                continue
            found.append(place)
        return found

    def _meets(self, item: int, correct: bool | None, label_id: int | None, predicted_id: int | None) -> bool:
        label, predicted = self._labels[item], self._predicted[item]
        if correct is False and label == predicted:
            return False
        return label_id in (None, label) and predicted_id in (None, predicted)

    def confusion_matrix(self, classes: int) -> list[list[int]]:
        """Objects by [true class][predicted class], with one more row and column for none."""
        matrix = [[0] * (classes + 1) for _ in range(classes + 1)]
        for label, predicted in zip(self._labels, self._predicted, strict=True):
            matrix[label][predicted] += 1  # none is -1, the last one
        return matrix


def row_of(image: ObjectImage, classes: int) -> dict[str, Any]:
    """An image as what its line holds. Raises ValueError when it is none."""
    row = {
        "height": image.height,
        "objects": [
            [
                item.label_id,
                item.predicted_id,
                None if item.confidence is None else rounded(item.confidence),
                None if item.iou is None else rounded(item.iou),
                None if item.truth_box is None else [round(float(number), _PLACES) for number in item.truth_box],
                None if item.predicted_box is None else [round(float(one), _PLACES) for one in item.predicted_box],
            ]
            for item in image.objects
        ],
        "path": image.path,
        "width": image.width,
    }
    _check(image, classes)
    return row


def image_of(row: Any, classes: int) -> ObjectImage:
    """Read what ``row_of`` gave. Raises ValueError, TypeError, KeyError, OverflowError on anything else."""
    path, width, height, objects = (row[name] for name in _ROW)
    image = ObjectImage(path, width, height, tuple(_match(*item) for item in objects))
    _check(image, classes)
    return image


def rounded(number: float) -> float:
    """A number with seven significant digits, all that a float32 holds."""
    return float(format(number, _DIGITS))


def _match(label_id: Any, predicted_id: Any, confidence: Any, iou: Any, truth: Any, predicted: Any) -> ObjectMatch:
    return ObjectMatch(label_id, predicted_id, _number(confidence), _number(iou), _box(truth), _box(predicted))


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _box(value: Any) -> Box | None:
    return None if value is None else tuple(float(number) for number in value)


def _check(image: ObjectImage, classes: int) -> None:
    if type(image.path) is not str:
        raise ValueError("validation images: an image has no path")
    if not all(type(side) is int and 0 < side < 1 << 31 for side in (image.width, image.height)):
        raise ValueError(f"validation images: {image.path!r} has no size")
    for item in image.objects:
        _check_object(image.path, item, classes)


def _check_object(path: str, item: ObjectMatch, classes: int) -> None:
    there, found = item.label_id is not None, item.predicted_id is not None
    given = (item.truth_box is not None, item.predicted_box is not None, item.confidence is not None)
    if not (there or found) or given != (there, found, found) or (item.iou is not None) is not (there and found):
        raise ValueError(f"validation images: {path!r} has an object of which a part is missing")
    labels = [label for label in (item.label_id, item.predicted_id) if label is not None]
    if not all(type(label) is int and 0 <= label < classes for label in labels):
        raise ValueError(f"validation images: {path!r} has a label that is no class")
    if not all(0 <= number <= 1 for number in (item.confidence, item.iou) if number is not None):
        raise ValueError(f"validation images: {path!r} has a confidence or an IoU out of range")
    if not all(_is_box(box) for box in (item.truth_box, item.predicted_box) if box is not None):
        raise ValueError(f"validation images: {path!r} has a box that is none")


def _is_box(box: Sequence[float]) -> bool:
    return len(box) in BOX_NUMBERS and all(map(math.isfinite, box))
