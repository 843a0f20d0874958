"""An annotation of COCO as an object to be checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from annotations.masks import decompress
from annotations.model import RunLengthMask
from annotations.raw import RawObject, bad_object, corners


def read_annotation(content: Mapping[str, object], category_id: int, keypoint_count: int) -> RawObject:
    """Box, segmentation (polygons or run lengths) and keypoints of an annotation. Raises BadObject.

    Keypoints are left out when the category names none.
    """
    polygons, mask = _segmentation(content.get("segmentation"))
    return RawObject(
        category_id=category_id,
        box=corners(content.get("bbox")),
        polygons=polygons,
        mask=mask,
        keypoints=_keypoints(content.get("keypoints")) if keypoint_count else (),
        keypoint_count=keypoint_count,
        crowd=content.get("iscrowd") in (1, True),
    )


def has_keypoints(content: Mapping[str, object]) -> bool:
    """Whether any keypoint is given."""
    points = content.get("keypoints")
    return isinstance(points, list) and any(points)


def _segmentation(content: object) -> tuple[Sequence[object], RunLengthMask | None]:
    if content is None:
        return (), None
    if isinstance(content, Mapping):
        return (), _run_lengths(content)
    if not isinstance(content, list):
        raise bad_object("its segmentation is neither a list of polygons nor run lengths")
    # Some tools write a single polygon without the list around it.
    flat = bool(content) and not any(isinstance(part, list) for part in content)
    return ([content] if flat else content), None


def _run_lengths(content: Mapping[str, object]) -> RunLengthMask:
    size, counts = content.get("size"), content.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(_is_count(side) for side in size):
        raise bad_object("the size of its run lengths is not [height, width]")
    height, width = size
    if isinstance(counts, str):
        try:
            return decompress(height, width, counts)
        except ValueError as error:
            raise bad_object(f"its run lengths cannot be read: {error}") from error
    if not isinstance(counts, list) or not all(_is_count(count) for count in counts):
        raise bad_object("its run lengths are neither text nor whole numbers")
    return RunLengthMask(height, width, tuple(counts))


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**32


def _keypoints(content: object) -> list[Sequence[object]]:
    if content is None:
        return []
    if not isinstance(content, list) or len(content) % 3:
        raise bad_object("its keypoints are no list of x, y, visibility, …")
    return [content[start : start + 3] for start in range(0, len(content), 3)]
