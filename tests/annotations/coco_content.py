"""Pieces of COCO files for tests: images are 64 × 48 pixels unless told."""

from __future__ import annotations

from typing import Any

CATEGORIES = [{"id": 18, "name": "dog"}, {"id": 3, "name": "cat"}]


def image(id: int | str, file_name: str, width: int = 64, height: int = 48, **more: Any) -> dict[str, Any]:
    return {"id": id, "file_name": file_name, "width": width, "height": height, **more}


def annotation(id: int, image_id: int | str, category_id: int = 3, **more: Any) -> dict[str, Any]:
    return {"id": id, "image_id": image_id, "category_id": category_id, "bbox": [1, 2, 10, 20], **more}


def coco(
    images: list[Any], annotations: list[Any] | None = None, categories: list[Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A file in COCO's own order: the categories stand behind the annotations."""
    return {
        "info": {"description": "made for a test"},
        "images": images,
        "annotations": annotations or [],
        "categories": CATEGORIES if categories is None else categories,
        **more,
    }
