"""Scenes of handwritten digits with a box around each: scikit-learn's digits, scattered over larger canvases.

``write_scenes`` makes a dataset in the platform's own format, DICE with ``annotations.json``. Digits of one split are
never seen in another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

CANVAS = 128
SMALLEST, LARGEST = 28, 44
MOST_DIGITS = 4
_TRIES = 50
_INK = 40  # of 255: paler pixels are paper, and lie outside a digit's box


@dataclass(frozen=True)
class Scene:
    """A canvas and its digits: each a class and a box (left, top, right, bottom) in pixels."""

    image: Image.Image
    digits: tuple[tuple[int, tuple[int, int, int, int]], ...]


def write_scenes(folder: Path, counts: Mapping[str, int], seed: int = 0) -> None:
    """Write as many scenes of each split as ``counts`` says, and ``annotations.json``, into a new folder."""
    random = np.random.default_rng(seed)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for split, scenes in zip(counts, make_scenes(list(counts.values()), random), strict=True):
        for number, scene in enumerate(scenes):
            path = f"{split}/{number:04d}.png"
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            scene.image.save(folder / path)
            image_id = len(images) + 1
            images.append({"id": image_id, "file_name": path, "width": CANVAS, "height": CANVAS, "split": split})
            for label, (left, top, right, bottom) in scene.digits:
                box = [left, top, right - left, bottom - top]
                entry = {"id": len(annotations) + 1, "image_id": image_id, "category_id": label + 1, "bbox": box}
                annotations.append(entry)
    categories = [{"id": label + 1, "name": str(label)} for label in range(10)]
    content = {"categories": categories, "images": images, "annotations": annotations}
    (folder / "annotations.json").write_text(json.dumps(content), encoding="utf-8")


def make_scenes(counts: Sequence[int], random: np.random.Generator) -> list[list[Scene]]:
    """Make groups of scenes, as many in each as ``counts`` says; no two groups share a digit."""
    digits = load_digits()
    order = random.permutation(len(digits.target))
    shares = np.cumsum([0, *counts]) * len(order) // max(1, sum(counts))
    groups: list[list[Scene]] = []
    for count, start, end in zip(counts, shares, shares[1:], strict=False):
        own = order[start:end]
        groups.append([_scene(digits.images, digits.target, own, random) for _ in range(count)])
    return groups


def _scene(pixels: Any, labels: Any, own: Any, random: np.random.Generator) -> Scene:
    canvas = Image.new("L", (CANVAS, CANVAS))
    taken: list[tuple[int, int, int, int]] = []
    found: list[tuple[int, tuple[int, int, int, int]]] = []
    for _ in range(int(random.integers(1, MOST_DIGITS + 1))):
        which = int(random.choice(own))
        side = int(random.integers(SMALLEST, LARGEST + 1))
        # The pixels of this dataset are 0 to 16.
        ink = Image.fromarray((pixels[which] * (255 / 16)).astype("uint8")).resize((side, side))
        place = _free_place(taken, side, random)
        box = ink.point(lambda value: 255 if value > _INK else 0).getbbox()
        if place is None or box is None:
            continue
        taken.append((*place, place[0] + side, place[1] + side))
        canvas.paste(ink, place)
        left, top = place
        found.append((int(labels[which]), (left + box[0], top + box[1], left + box[2], top + box[3])))
    return Scene(canvas.convert("RGB"), tuple(found))


def _free_place(
    taken: Sequence[tuple[int, int, int, int]], side: int, random: np.random.Generator
) -> tuple[int, int] | None:
    """Where a square touches none of those that are there; None when no place was found."""
    for _ in range(_TRIES):
        left, top = (int(value) for value in random.integers(0, CANVAS - side + 1, 2))
        if all(left >= right or left + side <= x or top >= bottom or top + side <= y for x, y, right, bottom in taken):
            return left, top
    return None
