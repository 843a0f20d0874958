"""Images and objects of the annotation model as plain JSON values, compact: what is absent is left out.

    {"path":"images/1.jpg","size":[640,480],"split":"train",
     "objects":[{"category":0,"box":[10,20,210,170],"polygons":[[10,20,210,20,210,170]]}]}

Beside these an object may have ``mask`` ([height, width, counts]), ``keypoints`` ([[x, y, visibility], …]), ``rotated``
(eight coordinates) and ``crowd`` (true).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from annotations.model import (
    AnnotatedImage,
    AnnotatedObject,
    Box,
    Category,
    Keypoint,
    RunLengthMask,
    Visibility,
)

# A ten-thousandth of a pixel is finer than any label, and keeps the text short.
_DECIMALS = 4


def encode_category(category: Category) -> dict[str, Any]:
    """A category as JSON values, every field."""
    return asdict(category)


def decode_category(content: Mapping[str, Any]) -> Category:
    """The category that ``encode_category`` wrote."""
    return Category(
        name=content["name"],
        keypoint_names=tuple(content["keypoint_names"]),
        skeleton=tuple((first, second) for first, second in content["skeleton"]),
        flip_indices=tuple(content["flip_indices"]),
    )


def encode_image(image: AnnotatedImage) -> dict[str, Any]:
    """An image as JSON values."""
    return {
        "path": image.path,
        "size": [image.width, image.height],
        "split": image.split,
        "objects": [encode_object(found) for found in image.objects],
    }


def decode_image(content: Mapping[str, Any]) -> AnnotatedImage:
    """The image that ``encode_image`` wrote."""
    width, height = content["size"]
    objects = tuple(decode_object(found) for found in content["objects"])
    return AnnotatedImage(content["path"], width, height, content["split"], objects)


def encode_object(found: AnnotatedObject) -> dict[str, Any]:
    """An object as JSON values."""
    box = found.box
    content: dict[str, Any] = {
        "category": found.category_id,
        "box": _rounded((box.x_min, box.y_min, box.x_max, box.y_max)),
    }
    if found.polygons:
        content["polygons"] = [_rounded(polygon) for polygon in found.polygons]
    if found.mask is not None:
        content["mask"] = [found.mask.height, found.mask.width, list(found.mask.counts)]
    if found.keypoints:
        content["keypoints"] = [[*_rounded((p.x, p.y)), int(p.visibility)] for p in found.keypoints]
    if found.rotated_box:
        content["rotated"] = _rounded(found.rotated_box)
    if found.crowd:
        content["crowd"] = True
    return content


def decode_object(content: Mapping[str, Any]) -> AnnotatedObject:
    """The object that ``encode_object`` wrote."""
    mask = content.get("mask")
    return AnnotatedObject(
        category_id=content["category"],
        box=Box(*content["box"]),
        polygons=tuple(tuple(polygon) for polygon in content.get("polygons", ())),
        mask=None if mask is None else RunLengthMask(mask[0], mask[1], tuple(mask[2])),
        keypoints=tuple(Keypoint(x, y, Visibility(seen)) for x, y, seen in content.get("keypoints", ())),
        rotated_box=tuple(content.get("rotated", ())),
        crowd=content.get("crowd", False),
    )


def _rounded(coordinates: Iterable[float]) -> list[float]:
    return [round(float(value), _DECIMALS) for value in coordinates]
