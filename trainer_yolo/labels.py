"""The annotations of a dataset as the label dictionaries that ultralytics trains on, without files in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from annotations.document import read_categories, read_images
from annotations.model import AnnotatedImage, AnnotatedObject, Category
from trainer.adapter import BadTrainingData, TrainingDataset
from trainer_yolo.checkpoint import Keypoints
from trainer_yolo.names import ORIENTED, POSE, SEGMENTATION
from trainer_yolo.outlines import Outline, outline_of

# Coordinates of a point: x, y and visibility, as COCO has it.
KEYPOINT_VALUES = 3

# What ultralytics calls a label: ``im_file``, ``shape`` (height, width), ``cls`` (N, 1), ``bboxes`` (N, 4) as centre,
# width and height, ``segments`` N × (points, 2), ``keypoints`` (N, points, 3) or None; all but ``shape`` in [0, 1].
Label = dict[str, Any]


@dataclass(frozen=True)
class Labels:
    """The images of the splits that a training reads; ``oddities`` are sentences about what was left out."""

    train: Sequence[Label]
    val: Sequence[Label]
    keypoints: Keypoints | None
    oddities: Sequence[str]


def read_labels(dataset: TrainingDataset, task_type: str) -> Labels:
    """Read what a task needs of a dataset's annotations.

    Raises BadTrainingData when there are none, or none of the kind that the task needs.
    """
    if dataset.annotations is None:
        raise BadTrainingData(
            "The dataset has a label for each image and no annotated objects: it can be used for classification alone."
        )
    reader = _Reader(dataset, task_type, read_categories(dataset.annotations))
    splits: dict[str, list[Label]] = {"train": [], "val": [], "test": []}
    for image in read_images(dataset.annotations):
        if image.split != "test":
            splits[image.split].append(reader.label(image))
    reader.check()
    return Labels(splits["train"], splits["val"], reader.keypoints, reader.oddities())


class _Reader:
    """Turns images into labels, and counts what is missing."""

    def __init__(self, dataset: TrainingDataset, task_type: str, categories: Sequence[Category]) -> None:
        self._root = dataset.root
        self._task_type = task_type
        self.keypoints = _keypoints(categories) if task_type == POSE else None
        self._counts: Counter[str] = Counter()

    def label(self, image: AnnotatedImage) -> Label:
        """What is on an image; objects that cannot be learned from are left out."""
        found = [item for item in map(lambda one: self._object(image, one), image.objects) if item is not None]
        classes = np.array([category for category, _, _, _ in found], dtype=np.float32).reshape(-1, 1)
        boxes = np.array([box for _, box, _, _ in found], dtype=np.float32).reshape(-1, 4)
        points = None
        if self.keypoints is not None:
            shape = (-1, self.keypoints.points, KEYPOINT_VALUES)
            points = np.array([item for _, _, _, item in found], dtype=np.float32).reshape(shape)
        return {
            "im_file": str(self._root / image.path),
            "shape": (image.height, image.width),
            "cls": classes,
            "bboxes": boxes,
            "segments": [outline for _, _, outline, _ in found if outline is not None],
            "keypoints": points,
            "normalized": True,
            "bbox_format": "xywh",
        }

    def check(self) -> None:
        """Raise BadTrainingData when no object has what the task needs."""
        counts = self._counts
        if not counts["objects"]:
            raise BadTrainingData("No object is annotated in the train and val splits: there is nothing to learn.")
        missing = {SEGMENTATION: "mask", ORIENTED: "rotated box", POSE: "keypoint"}.get(self._task_type)
        if missing is not None and not counts["complete"]:
            raise BadTrainingData(f"No object of the dataset has a {missing}; train another task on it.")

    def oddities(self) -> list[str]:
        """Sentences about objects that are not used, or not as they were meant."""
        counts = self._counts
        lines = []
        if counts["crowd"]:
            lines.append(f"{counts['crowd']} objects are crowds and are left out.")
        if counts["empty"]:
            lines.append(f"{counts['empty']} objects have no area inside their image and are left out.")
        bare = counts["objects"] - counts["complete"]
        if bare and self._task_type == SEGMENTATION:
            lines.append(f"{bare} objects have no mask: their boxes are taken for it.")
        if bare and self._task_type == ORIENTED:
            lines.append(f"{bare} objects have no rotated box: their upright boxes are taken for it.")
        if bare and self._task_type == POSE:
            lines.append(f"{bare} objects have no keypoints: their boxes alone are learned.")
        return lines

    def _object(
        self, image: AnnotatedImage, found: AnnotatedObject
    ) -> tuple[int, Sequence[float], Outline | None, Any] | None:
        if found.crowd:
            self._counts["crowd"] += 1
            return None
        outline, points = None, None
        complete = True
        if self._task_type in (SEGMENTATION, ORIENTED):
            outline, complete = outline_of(found, image.width, image.height, rotated=self._task_type == ORIENTED)
            corners = outline
        else:
            box = found.box
            corners = np.array([(box.x_min, box.y_min), (box.x_max, box.y_max)], dtype=np.float32)
        if self.keypoints is not None:
            points = _points(found, image, self.keypoints.points)
            complete = bool(found.keypoints)
        corners = np.clip(corners / (image.width, image.height), 0.0, 1.0)
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        if right <= left or bottom <= top:
            self._counts["empty"] += 1
            return None
        self._counts["objects"] += 1
        self._counts["complete"] += complete
        box_values = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
        if outline is not None:
            outline = (outline / (image.width, image.height)).astype(np.float32)
            # A rotated box that is clipped is no rectangle any more.
            outline = outline if self._task_type == ORIENTED else np.clip(outline, 0.0, 1.0)
        return found.category_id, box_values, outline, points


def _points(found: AnnotatedObject, image: AnnotatedImage, count: int) -> Any:
    points = np.zeros((count, KEYPOINT_VALUES), dtype=np.float32)
    for index, point in enumerate(found.keypoints):
        inside = 0 <= point.x <= image.width and 0 <= point.y <= image.height
        if point.visibility and inside:
            points[index] = (point.x / image.width, point.y / image.height, int(point.visibility))
    return points


def _keypoints(categories: Sequence[Category]) -> Keypoints:
    """The points that all classes share. Raises BadTrainingData when there are none, or classes differ."""
    posed = [category for category in categories if category.keypoint_names]
    if not posed:
        raise BadTrainingData("No class of the dataset names keypoints: there is no pose to learn.")
    first = posed[0]
    for other in posed:
        if len(other.keypoint_names) != len(first.keypoint_names):
            raise BadTrainingData(
                f"{first.name} has {len(first.keypoint_names)} keypoints and {other.name} {len(other.keypoint_names)}; "
                "all classes of a pose model have the same number of them."
            )
    alike = all(other.flip_indices == first.flip_indices for other in posed)
    return Keypoints(
        points=len(first.keypoint_names),
        values=KEYPOINT_VALUES,
        names=first.keypoint_names,
        skeleton=first.skeleton,
        flip_indices=first.flip_indices if alike else (),
    )
