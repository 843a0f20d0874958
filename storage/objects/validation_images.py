"""What a model said of each validation image, as one object: gzip over lines of JSON in UTF-8.

The first line describes the file, each other line is one image, sorted by path:

    {"class_names":["cat","dog"],"epoch":3,"images":2,"kind":"validation_images","version":1}
    {"label_id":0,"loss":0.105,"path":"val/cat/1.png","predictions":[[0,0.9],[1,0.1]]}

``predictions`` are the most likely classes with their confidence in [0, 1], most likely first: the first is the
prediction. ``loss`` is the cross-entropy in nats. The same content gives the same bytes.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

KIND = "validation_images"
VERSION = 1
TOP_PREDICTIONS = 5
# What is written is seven significant digits, all that a float32 holds.
_DIGITS = ".7g"
_ROW = ("label_id", "loss", "path", "predictions")


@dataclass(frozen=True)
class ValidationImage:
    """One image; ``predictions`` are (label id, confidence), the most likely first."""

    path: str
    label_id: int
    predictions: tuple[tuple[int, float], ...]
    loss: float

    @property
    def correct(self) -> bool:
        """Whether the most likely class is the true one."""
        return self.predictions[0][0] == self.label_id


def encode(epoch: int, class_names: Sequence[str], images: Iterable[ValidationImage]) -> bytes:
    """The object's bytes. Raises ValueError when an image has no prediction, or a number that is not finite."""
    rows = sorted(images, key=lambda image: image.path)
    head = {
        "class_names": list(class_names),
        "epoch": epoch,
        "images": len(rows),
        "kind": KIND,
        "version": VERSION,
    }
    lines = [_dump(head), *(_dump(_content(image, len(class_names))) for image in rows)]
    # No time in the header: the same rows have the same digest.
    return gzip.compress("".join(lines).encode(), mtime=0)


class ValidationImages:
    """A decoded object: its lines, and beside them what is filtered and sorted by."""

    def __init__(self, epoch: int, class_names: tuple[str, ...], lines: list[bytes]) -> None:
        """``lines`` are those of the images. Raises ValueError."""
        self.epoch = epoch
        self.class_names = class_names
        # About how much memory it takes: the lines, and what is kept beside each.
        self.memory_bytes = sum(len(line) + 96 for line in lines)
        self._lines = lines
        self._labels, self._predicted, self._losses = array("l"), array("l"), array("d")
        for line in lines:
            image = _image(line, len(class_names))
            self._labels.append(image.label_id)
            self._predicted.append(image.predictions[0][0])
            self._losses.append(image.loss)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what ``encode`` wrote. Raises ValueError on anything else."""
        try:
            head_line, *lines = gzip.decompress(data).splitlines()
            head = json.loads(head_line)
            if (head["kind"], head["version"]) != (KIND, VERSION) or head["images"] != len(lines):
                raise ValueError("not the validation images of this version, or not all of them")
            return cls(int(head["epoch"]), tuple(str(name) for name in head["class_names"]), lines)
        except (OSError, EOFError, zlib.error, TypeError, KeyError, IndexError, RecursionError) as error:
            raise ValueError(f"validation images: {error!r}") from error

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, place: int) -> ValidationImage:
        """The image at a place, by path."""
        return _image(self._lines[place], len(self.class_names))

    def select(
        self, *, correct: bool | None = None, label_id: int | None = None, predicted_id: int | None = None
    ) -> list[int]:
        """Places of the images that meet every condition given, by path."""
        return [
            place
            for place, (label, predicted) in enumerate(zip(self._labels, self._predicted, strict=True))
            if (correct is None or (label == predicted) is correct)
            and (label_id is None or label == label_id)
            and (predicted_id is None or predicted == predicted_id)
        ]

    def by_loss(self, places: list[int], *, largest_first: bool) -> list[int]:
        """``places`` by their loss; those of the same loss stay in their order."""
        return sorted(places, key=lambda place: -self._losses[place] if largest_first else self._losses[place])

    def confusion_matrix(self) -> list[list[int]]:
        """Images by [true class][predicted class]."""
        matrix = [[0] * len(self.class_names) for _ in self.class_names]
        for label, predicted in zip(self._labels, self._predicted, strict=True):
            matrix[label][predicted] += 1
        return matrix


def _dump(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n"


def _content(image: ValidationImage, classes: int) -> dict[str, Any]:
    content = {
        "label_id": image.label_id,
        "loss": _rounded(image.loss),
        "path": image.path,
        "predictions": [[label, _rounded(confidence)] for label, confidence in image.predictions],
    }
    _check(image, classes)
    return content


def _image(line: bytes, classes: int) -> ValidationImage:
    content = json.loads(line)
    label_id, loss, path, predictions = (content[name] for name in _ROW)
    pairs = tuple((label, float(confidence)) for label, confidence in predictions)
    image = ValidationImage(path, label_id, pairs, float(loss))
    _check(image, classes)
    return image


def _check(image: ValidationImage, classes: int) -> None:
    labels = [image.label_id, *(label for label, _ in image.predictions)]
    if type(image.path) is not str or not image.predictions:
        raise ValueError("validation images: an image has no path or no prediction")
    if not all(type(label) is int and 0 <= label < classes for label in labels):
        raise ValueError(f"validation images: {image.path!r} has a label that is no class")
    if not math.isfinite(image.loss) or not all(0 <= confidence <= 1 for _, confidence in image.predictions):
        raise ValueError(f"validation images: {image.path!r} has a loss or confidence out of range")


def _rounded(number: float) -> float:
    return float(format(number, _DIGITS))
