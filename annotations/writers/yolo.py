"""The annotation model as ultralytics reads it: ``data.yaml``, ``images/<split>`` and ``labels/<split>``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from annotations.model import SPLITS, AnnotatedImage, Category
from annotations.writers.yolo_lines import TASKS, LineWriter, PolygonsOf

# What ultralytics looks at by the ending of the name (``IMG_FORMATS`` in ``data/utils.py``), of what datasets may hold.
READABLE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class YoloDataset:
    """What was written: the ``data.yaml``, and which image of the dataset each linked file is.

    ``left_out`` are images, by their path in the dataset, whose format ultralytics does not read.
    """

    data_yaml: Path
    paths: Mapping[Path, str]
    left_out: Sequence[str]


def write_yolo(
    folder: Path,
    categories: Sequence[Category],
    images: Iterable[AnnotatedImage],
    *,
    task: str,
    image_file: Callable[[str], Path],
    polygons_of: PolygonsOf,
) -> YoloDataset:
    """Write a dataset for one of ultralytics' tasks (``TASKS``) into a folder, which is made; it must be empty.

    ``image_file`` says where an image of the dataset lies on this machine: it is linked, never copied. The links are
    numbered in the order of the images, so that no two collide, whatever the paths are. ``polygons_of`` gives a mask's
    outlines in pixels. The ``data.yaml`` is written last. Raises ValueError for another task, OSError as the disk does.
    """
    if task not in TASKS:
        raise ValueError(f"{task!r} is none of {', '.join(TASKS)}")
    keypoints = max((len(category.keypoint_names) for category in categories), default=0) if task == "pose" else 0
    writer = LineWriter(task, polygons_of, keypoints)
    # Ultralytics wants both, even where one of them has no image.
    splits = {"train", "val"}
    for split in SPLITS:
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
    paths: dict[Path, str] = {}
    left_out: list[str] = []
    for number, image in enumerate(images):
        suffix = Path(image.path).suffix.lower()
        if suffix not in READABLE_SUFFIXES:
            left_out.append(image.path)
            continue
        link = folder / "images" / image.split / f"{number:08}{suffix}"
        _link(image_file(image.path), link)
        # An image without objects gets an empty file: it was looked at, and nothing was found.
        text = "".join(f"{line}\n" for line in writer.lines(image))
        (folder / "labels" / image.split / f"{number:08}.txt").write_text(text, encoding="ascii")
        paths[link] = image.path
        splits.add(image.split)
    data_yaml = folder / "data.yaml"
    described = _describe(folder, categories, [split for split in SPLITS if split in splits], task, keypoints)
    data_yaml.write_text(yaml.safe_dump(described, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return YoloDataset(data_yaml, paths, tuple(left_out))


def _describe(
    folder: Path, categories: Sequence[Category], splits: Sequence[str], task: str, keypoints: int
) -> dict[str, object]:
    """The content of the ``data.yaml``; ``task`` says what lines of four points are."""
    content: dict[str, object] = {"path": str(folder.resolve())}
    content |= {split: f"images/{split}" for split in splits}
    content |= {"task": task, "names": {place: category.name for place, category in enumerate(categories)}}
    if not keypoints:
        return content
    posed = [(place, category) for place, category in enumerate(categories) if category.keypoint_names]
    flips = {category.flip_indices for _, category in posed}
    # Ultralytics mirrors all classes alike; without this it mirrors none.
    if len(flips) == 1 and len(flip := flips.pop()) == keypoints:
        content["flip_idx"] = list(flip)
    named = {
        place: list(category.keypoint_names) for place, category in posed if len(category.keypoint_names) == keypoints
    }
    return content | {"kpt_shape": [keypoints, 3], "kpt_names": named}


def _link(file: Path, link: Path) -> None:
    target = file.resolve(strict=True)
    try:
        link.symlink_to(target)
    except FileExistsError:
        raise
    except OSError:  # a file system, or Windows, without symbolic links
        os.link(target, link)
