"""Counting what is annotated on the images of a dataset, in one pass over them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

from annotations.model import AnnotatedImage, AnnotatedObject, Category
from gateway.datasets.statistics import OBJECTS_PER_IMAGE, RELATIVE_BOX_SIZES, Histogram, nested


@dataclass
class Tally:
    """What was counted; groups that are no single objects (``crowd``) are not.

    ``classes`` gives by path the categories of the image's objects, one for each object.
    """

    categories: Sequence[Category]
    classes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    object_count: int = 0
    masks: int = 0
    rotated: int = 0
    poses: int = 0
    per_image: Histogram = field(default_factory=lambda: Histogram(OBJECTS_PER_IMAGE))
    box_sizes: Histogram = field(default_factory=lambda: Histogram(RELATIVE_BOX_SIZES))

    def add(self, image: AnnotatedImage) -> None:
        """Count an image."""
        objects = [found for found in image.objects if not found.crowd]
        self.classes[image.path] = tuple(found.category_id for found in objects)
        self.per_image.add(len(objects))
        self.object_count += len(objects)
        side = sqrt(image.width * image.height)
        for found in objects:
            self._add_object(found, side)

    def _add_object(self, found: AnnotatedObject, side: float) -> None:
        self.box_sizes.add(sqrt(found.box.area) / side)
        self.masks += bool(found.polygons or found.mask)
        self.rotated += bool(found.rotated_box)
        self.poses += bool(found.keypoints)

    @property
    def task_types(self) -> tuple[str, ...]:
        """What can be trained: the answers that all objects carry, and poses where all their categories name the same
        number of keypoints and objects have them."""
        if not self.object_count:
            return ()
        shown = {category for found in self.classes.values() for category in found}
        keypoints = {len(self.categories[category].keypoint_names) for category in shown}
        found = {
            "OBJECT_DETECTION": True,
            "INSTANCE_SEGMENTATION": self.masks == self.object_count,
            "POSE_ESTIMATION": self.poses > 0 and len(keypoints) == 1 and keypoints != {0},
            "ORIENTED_DETECTION": self.rotated == self.object_count,
        }
        return tuple(task for task, can in found.items() if can)

    def images_showing(self, splits: Mapping[str, str]) -> dict[str, dict[str, int]]:
        """Images by split and class that show the class. ``splits`` are by path."""
        return self._counted((splits[path], set(found)) for path, found in self.classes.items())

    def statistics(self, splits: Mapping[str, str]) -> dict[str, Any]:
        """What ``DatasetStatistics`` says of objects, and images by split."""
        return {
            "images": dict(Counter(splits.values())),
            "images_without_objects": dict(Counter(splits[path] for path, found in self.classes.items() if not found)),
            "objects": self._counted((splits[path], found) for path, found in self.classes.items()),
            "objects_per_image": self.per_image.as_json(),
            "relative_box_sizes": self.box_sizes.as_json(),
        }

    def _counted(self, found: Iterable[tuple[str, Iterable[int]]]) -> dict[str, dict[str, int]]:
        counts: dict[str, Counter[int]] = {}
        for split, ids in found:
            counts.setdefault(split, Counter()).update(ids)
        names = self.categories
        return nested({(split, names[id].name): n for split, ids in counts.items() for id, n in ids.items()})
