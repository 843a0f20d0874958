"""Images to train on, predict and upload."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from examples.digit_scenes import CANVAS, make_scenes


def write_digits(folder: Path, side: int, most: int = 1797) -> tuple[int, int]:
    """scikit-learn's handwritten digits as ``train/<digit>/…png`` and ``val/…``, every fifth one in val; gives how
    many there are of each."""
    digits = load_digits()
    counts = {"train": 0, "val": 0}
    for number, (pixels, label) in enumerate(zip(digits.images[:most], digits.target, strict=False)):
        split = "val" if number % 5 == 4 else "train"
        image = Image.fromarray((pixels * (255 / 16)).astype("uint8"))
        path = folder / split / str(label) / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.resize((side, side), Image.Resampling.BICUBIC).convert("RGB").save(path)
        counts[split] += 1
    return counts["train"], counts["val"]


def write_digit_scenes(folder: Path, train: int, val: int) -> Path:
    """Scattered digits with boxes as ultralytics reads them: ``images/<split>``, ``labels/<split>``, and the
    ``data.yaml`` that is given back."""
    groups = make_scenes((train, val), np.random.default_rng(0))
    for split, scenes in zip(("train", "val"), groups, strict=True):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for number, scene in enumerate(scenes):
            scene.image.save(folder / "images" / split / f"{number:04}.png")
            lines = [
                f"{label} {(left + right) / 2 / CANVAS} {(top + bottom) / 2 / CANVAS} "
                f"{(right - left) / CANVAS} {(bottom - top) / CANVAS}\n"
                for label, (left, top, right, bottom) in scene.digits
            ]
            (folder / "labels" / split / f"{number:04}.txt").write_text("".join(lines), encoding="utf-8")
    description = folder / "data.yaml"
    names = "".join(f"  {label}: '{label}'\n" for label in range(10))
    description.write_text(f"path: {folder}\ntrain: images/train\nval: images/val\nnames:\n{names}", encoding="utf-8")
    return description


def photograph(seed: int, width: int = 640, height: int = 480) -> bytes:
    """A JPEG with as much detail as a photograph: blurred noise in colour, which compresses about as well."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=90)
    return encoded.getvalue()


def write_photographs(folder: Path, classes: int, per_class: int) -> None:
    """``<class>/<number>.jpg``."""
    for label in range(classes):
        for number in range(per_class):
            path = folder / f"class-{label}" / f"{number:04}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(photograph(label * per_class + number))


def write_large_images(folder: Path, count: int, size_bytes: int) -> None:
    """``<class>/<number>.jpg`` of exactly that size: small images, filled up behind their end with what no file system
    and no network compresses."""
    randomness = random.Random(0)
    encoded = io.BytesIO()
    Image.new("RGB", (32, 32), "navy").save(encoded, "JPEG")
    image = encoded.getvalue()
    for number in range(count):
        path = folder / f"class-{number % 10}" / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image + randomness.randbytes(size_bytes - len(image)))
