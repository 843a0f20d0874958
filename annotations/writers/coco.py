"""The annotation model as COCO: one JSON file for each split, with absolute pixels and 1-based category ids."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Any, Self

from annotations.geometry import polygon_area
from annotations.masks import compress, mask_area
from annotations.model import AnnotatedImage, AnnotatedObject, Category

# As the annotations document keeps them.
_DECIMALS = 4


def write_coco(folder: Path, categories: Sequence[Category], images: Iterable[AnnotatedImage]) -> dict[str, Path]:
    """Write ``<split>.json`` into an existing folder for each split that has an image, and return them by split.

    ``file_name`` is the image's path. A file appears whole or not at all. Memory does not grow with the images. COCO
    has no rotated boxes: one becomes a polygon where the object has none.
    """
    files: dict[str, _SplitFile] = {}
    image_ids, annotation_ids = count(1), count(1)
    with ExitStack() as stack:
        for image in images:
            if image.split not in files:
                path = folder / f"{image.split}.json"
                files[image.split] = stack.enter_context(_SplitFile(path, categories))
            image_id = next(image_ids)
            files[image.split].add_image(
                {"id": image_id, "file_name": image.path, "width": image.width, "height": image.height}
            )
            for found in image.objects:
                files[image.split].add_annotation(encode_annotation(found, next(annotation_ids), image_id))
        for file in files.values():
            file.finish()
    return {split: file.path for split, file in files.items()}


def encode_category(category: Category, place: int) -> dict[str, Any]:
    """A category as COCO has it; the one at place 0 has the id 1."""
    content: dict[str, Any] = {"id": place + 1, "name": category.name, "supercategory": ""}
    if category.keypoint_names:
        content["keypoints"] = list(category.keypoint_names)
        content["skeleton"] = [[first + 1, second + 1] for first, second in category.skeleton]
    return content


def encode_annotation(found: AnnotatedObject, id: int, image_id: int) -> dict[str, Any]:
    """An object as COCO has it."""
    box = found.box
    polygons = found.polygons or ((found.rotated_box,) if found.rotated_box and found.mask is None else ())
    content: dict[str, Any] = {
        "id": id,
        "image_id": image_id,
        "category_id": found.category_id + 1,
        "bbox": _rounded((box.x_min, box.y_min, box.width, box.height)),
        "area": round(_area(found), _DECIMALS),
        "iscrowd": int(found.crowd),
    }
    if found.mask is not None:
        size = [found.mask.height, found.mask.width]
        content["segmentation"] = {"size": size, "counts": compress(found.mask)}
    elif polygons:
        content["segmentation"] = [_rounded(polygon) for polygon in polygons]
    if found.keypoints:
        content["keypoints"] = [
            value for point in found.keypoints for value in (*_rounded((point.x, point.y)), int(point.visibility))
        ]
        content["num_keypoints"] = sum(1 for point in found.keypoints if point.visibility)
    return content


class _SplitFile:
    """One file on its way: images go into it at once, annotations wait beside it, since they stand behind."""

    def __init__(self, path: Path, categories: Sequence[Category]) -> None:
        self.path = path
        self._part = path.with_name(path.name + ".part")
        self._categories = [encode_category(category, place) for place, category in enumerate(categories)]
        self._images = 0
        self._annotations = 0

    def __enter__(self) -> Self:
        self._file = self._part.open("w", encoding="utf-8")
        self._waiting: IO[str] = TemporaryFile("w+", encoding="utf-8", dir=self.path.parent)
        self._file.write(f'{{"categories":{_text(self._categories)},"images":[\n')
        return self

    def add_image(self, content: dict[str, Any]) -> None:
        self._file.write((",\n" if self._images else "") + _text(content))
        self._images += 1

    def add_annotation(self, content: dict[str, Any]) -> None:
        self._waiting.write((",\n" if self._annotations else "") + _text(content))
        self._annotations += 1

    def finish(self) -> None:
        """Write what waits, and let the file appear."""
        self._file.write('\n],"annotations":[\n')
        self._waiting.seek(0)
        shutil.copyfileobj(self._waiting, self._file)
        self._file.write("\n]}\n")
        self._file.close()
        self._part.replace(self.path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        self._waiting.close()
        self._part.unlink(missing_ok=True)


def _area(found: AnnotatedObject) -> float:
    """Square pixels of what is drawn most exactly."""
    if found.mask is not None:
        return float(mask_area(found.mask))
    if found.polygons:
        return sum(abs(polygon_area(polygon)) for polygon in found.polygons)
    return abs(polygon_area(found.rotated_box)) if found.rotated_box else found.box.area


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), _DECIMALS) for value in values]


def _text(content: object) -> str:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)
