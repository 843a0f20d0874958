"""What a model said of each validation image, as one object: gzip over lines of JSON in UTF-8.

The first line describes the file, each other line is one image, sorted by path:

    {"class_names":["cat","dog"],"epoch":3,"images":2,"kind":"validation_images","version":1}
    {"label_id":0,"loss":0.105,"path":"val/cat/1.png","predictions":[[0,0.9],[1,0.1]]}

``predictions`` are the most likely classes with their confidence in [0, 1], most likely first: the first is the
prediction. ``loss`` is the cross-entropy in nats.

Of a model that finds objects the version is 2, and a line holds the size of the upright image in pixels, and objects:

    {"height":480,"objects":[[0,0,0.9,0.8,[10,20,50,60],[11,20,50,61]]],"path":"val/1.png","width":640}

An object is its true label id, its predicted one, the confidence of that in [0, 1], the IoU of both in [0, 1], and
their boxes: x_min, y_min, x_max, y_max, or x and y of each corner where boxes are rotated. What was missed has null for
all that is predicted, what was found where nothing is has null for all that is true.

The same content gives the same bytes.
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

from storage.objects import object_images
from storage.objects.object_images import ObjectImage, ObjectIndex, rounded

KIND = "validation_images"
CLASSES_VERSION, OBJECTS_VERSION = 1, 2
TOP_PREDICTIONS = 5
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


def encode(epoch: int, class_names: Sequence[str], images: Iterable[ValidationImage | ObjectImage]) -> bytes:
    """The object's bytes. Raises ValueError when an image has no prediction, or a number that is not finite, or when
    some have objects and others not."""
    rows = sorted(images, key=lambda image: image.path)
    of_objects = {isinstance(image, ObjectImage) for image in rows} or {False}
    if len(of_objects) > 1:
        raise ValueError("validation images: some have objects, others one class")
    head = {
        "class_names": list(class_names),
        "epoch": epoch,
        "images": len(rows),
        "kind": KIND,
        "version": OBJECTS_VERSION if True in of_objects else CLASSES_VERSION,
    }
    lines = [_dump(head), *(_dump(_content(image, len(class_names))) for image in rows)]
    # No time in the header: the same rows have the same digest.
    return gzip.compress("".join(lines).encode(), mtime=0)


class ValidationImages:
    """A decoded object: its lines, and beside them what is filtered and sorted by."""

    def __init__(
        self, epoch: int, class_names: tuple[str, ...], lines: list[bytes], *, of_objects: bool = False
    ) -> None:
        """``lines`` are those of the images. Raises ValueError."""
        self.epoch = epoch
        self.class_names = class_names
        self.of_objects = of_objects
        self._lines = lines
        self._losses = array("d")
        self._index = _ClassIndex() if not of_objects else ObjectIndex()
        for place in range(len(lines)):
            image = self[place]
            self._index.add(image)  # type: ignore[arg-type]  # of the kind that the index is for
            self._losses.append(image.loss)
        # About how much memory it takes: the lines, and what is kept beside each.
        self.memory_bytes = sum(len(line) + 80 for line in lines) + self._index.memory_bytes

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what ``encode`` wrote. Raises ValueError on anything else."""
        try:
            head_line, *lines = gzip.decompress(data).splitlines()
            head = json.loads(head_line)
            version = head["version"]
            if head["kind"] != KIND or type(version) is not int or head["images"] != len(lines):
                raise ValueError("not validation images, or not all of them")
            if version not in (CLASSES_VERSION, OBJECTS_VERSION):
                raise ValueError(f"validation images of version {version}, which is not known")
            names = tuple(str(name) for name in head["class_names"])
            return cls(int(head["epoch"]), names, lines, of_objects=version == OBJECTS_VERSION)
        except (
            OSError,
            EOFError,
            zlib.error,
            TypeError,
            KeyError,
            IndexError,
            ArithmeticError,
            RecursionError,
        ) as error:
            raise ValueError(f"validation images: {error!r}") from error

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, place: int) -> ValidationImage | ObjectImage:
        """The image at a place, by path."""
        row, classes = json.loads(self._lines[place]), len(self.class_names)
        return object_images.image_of(row, classes) if self.of_objects else _image(row, classes)

    def select(
        self, *, correct: bool | None = None, label_id: int | None = None, predicted_id: int | None = None
    ) -> list[int]:
        """Places of the images that meet every condition given, by path; of objects see ``ObjectIndex.select``."""
        return self._index.select(correct, label_id, predicted_id)

    def by_loss(self, places: list[int], *, largest_first: bool) -> list[int]:
        """``places`` by their loss; those of the same loss stay in their order."""
        return sorted(places, key=lambda place: -self._losses[place] if largest_first else self._losses[place])

    def confusion_matrix(self) -> list[list[int]]:
        """Images by [true class][predicted class]; or objects, with one more row and column for none."""
        return self._index.confusion_matrix(len(self.class_names))


class _ClassIndex:
    """What images of one class each are selected and counted by."""

    def __init__(self) -> None:
        self._labels, self._predicted = array("l"), array("l")

    @property
    def memory_bytes(self) -> int:
        return 16 * len(self._labels)

    def add(self, image: ValidationImage) -> None:
        self._labels.append(image.label_id)
        self._predicted.append(image.predictions[0][0])

    def select(self, correct: bool | None, label_id: int | None, predicted_id: int | None) -> list[int]:
        return [
            place
            for place, (label, predicted) in enumerate(zip(self._labels, self._predicted, strict=True))
            if (correct is None or (label == predicted) is correct)
            and (label_id is None or label == label_id)
            and (predicted_id is None or predicted == predicted_id)
        ]

    def confusion_matrix(self, classes: int) -> list[list[int]]:
        matrix = [[0] * classes for _ in range(classes)]
        for label, predicted in zip(self._labels, self._predicted, strict=True):
            matrix[label][predicted] += 1
        return matrix


def _dump(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n"


def _content(image: ValidationImage | ObjectImage, classes: int) -> dict[str, Any]:
    if isinstance(image, ObjectImage):
        return object_images.row_of(image, classes)
    content = {
        "label_id": image.label_id,
        "loss": rounded(image.loss),
        "path": image.path,
        "predictions": [[label, rounded(confidence)] for label, confidence in image.predictions],
    }
    _check(image, classes)
    return content


def _image(content: Any, classes: int) -> ValidationImage:
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
