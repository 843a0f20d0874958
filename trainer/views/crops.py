"""CROPS: every object becomes an image of its own, cut out along its box and labelled with its class.

A folder of crops holds ``crops.json`` and ``files/<path of the image>#<place of the object>.png``; a ``#`` in the path
of an image is doubled there, so that no two crops share a name and none is a folder of another. Crops are upright and
lossless, and keep the pixels of the file as they are (greyscale, 16 bits, palette, transparency): a framework converts
them as it converts whole images.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from annotations.document import read_images
from annotations.model import AnnotatedImage, AnnotatedObject
from storage.objects.digest import sha256_bytes
from storage.objects.paths import MAX_PART_BYTES
from trainer.adapter import BadTrainingData, Sample, TrainingDataset
from trainer.images import upright
from trainer.views.counts import ViewCounts

# Part of the cache's key: a change of what is cut out, or how, needs another number.
VERSION = 1
MIN_SIDE_PIXELS = 2

_FILES_FOLDER = "files"
_INDEX_FILE = "crops.json"
_FAST = 1  # zlib's level: photographs compress little better at any other
# What neither keeps is colour of 8 bits in another form, for example inks: it becomes RGB.
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
_TIFF_MODES = ("I", "F", "I;16B")

# Called with the images that are done and the images there are.
Progress = Callable[[int, int], None]


def write_crops(dataset: TrainingDataset, folder: Path, threads: int, progress: Progress | None) -> None:
    """Fill an empty folder with the crops of a dataset that has annotations.

    Objects of a crowd, and those with less than two pixels a side inside the image, are left out. ``progress`` is
    called in the caller's thread; what it raises ends the work. Raises BadTrainingData naming a file that cannot be
    read, ValueError when the annotations make no sense, OSError when the disk refuses.
    """
    assert dataset.annotations is not None
    counts, samples = ViewCounts(), []
    total = sum(1 for _ in read_images(dataset.annotations))
    with ThreadPoolExecutor(threads, thread_name_prefix="crops") as pool:
        cut = _in_order(pool, 4 * threads, dataset, folder / _FILES_FOLDER)
        try:
            for done, (image, labels) in enumerate(cut, start=1):
                for name, label_id in labels:
                    samples.append((name, image.split, label_id))
                counts.add(image.split, "objects", len(image.objects))
                counts.add(image.split, "crowds", sum(found.crowd for found in image.objects))
                counts.add(image.split, "kept", len(labels))
                if progress is not None:
                    progress(done, total)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    (folder / _FILES_FOLDER).mkdir(exist_ok=True)
    content = {"samples": samples, "counts": counts.as_json()}
    (folder / _INDEX_FILE).write_text(json.dumps(content), encoding="utf-8")


def read_crops(folder: Path, class_names: tuple[str, ...]) -> tuple[TrainingDataset, ViewCounts]:
    """What ``write_crops`` left, as a dataset to classify, and what was left out."""
    content = json.loads((folder / _INDEX_FILE).read_text(encoding="utf-8"))
    samples = tuple(Sample(*sample) for sample in content["samples"])
    return TrainingDataset(folder / _FILES_FOLDER, class_names, samples), ViewCounts.from_json(content["counts"])


def crop_name(path: str, place: int, suffix: str = ".png") -> str:
    """Path of a crop: that of its image, and the place of the object among the image's objects, from 0.

    A name too long for a file system is cut short, and told apart by a digest.
    """
    *folders, name = path.replace("#", "##").split("/")
    return "/".join([*map(_fitting, folders), _fitting(name, f"#{place}{suffix}")])


def _fitting(part: str, ending: str = "") -> str:
    encoded = part.encode()
    if len(encoded) + len(ending) <= MAX_PART_BYTES:
        return part + ending
    ending = f"~{sha256_bytes(encoded)[:16]}{ending}"
    return encoded[: MAX_PART_BYTES - len(ending)].decode(errors="ignore") + ending


def _in_order(
    pool: ThreadPoolExecutor, ahead: int, dataset: TrainingDataset, files: Path
) -> Iterator[tuple[AnnotatedImage, list[tuple[str, int]]]]:
    """Cut out each image's objects in the pool, a few images ahead; gives image and crops in the document's order."""
    assert dataset.annotations is not None
    waiting: deque[tuple[AnnotatedImage, Future[list[tuple[str, int]]]]] = deque()
    for image in read_images(dataset.annotations):
        waiting.append((image, pool.submit(_cut, dataset, image, files)))
        if len(waiting) > ahead:
            first, crops = waiting.popleft()
            yield first, crops.result()
    for first, crops in waiting:
        yield first, crops.result()


def _cut(dataset: TrainingDataset, image: AnnotatedImage, files: Path) -> list[tuple[str, int]]:
    """Write the crops of one image; gives the name and the label of each."""
    wanted = [(place, found) for place, found in enumerate(image.objects) if not found.crowd]
    for _, found in wanted:
        if not 0 <= found.category_id < len(dataset.class_names):
            raise ValueError(f"annotations: {image.path!r} has category {found.category_id}, which is no class")
    if not wanted:
        return []
    pixels = _upright(dataset.root, image.path)
    crops = []
    for place, found in wanted:
        edges = _edges(found, pixels.width, pixels.height)
        if edges is None:
            continue
        name = crop_name(image.path, place, ".tiff" if pixels.mode in _TIFF_MODES else ".png")
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        pixels.crop(edges).save(files / name, compress_level=_FAST)
        crops.append((name, found.category_id))
    return crops


def _edges(found: AnnotatedObject, width: int, height: int) -> tuple[int, int, int, int] | None:
    """Whole pixels around the part of an object's box inside the image; None when too little is left of it."""
    box = found.box
    left, top = max(0.0, box.x_min), max(0.0, box.y_min)
    right, bottom = min(float(width), box.x_max), min(float(height), box.y_max)
    if right - left < MIN_SIDE_PIXELS or bottom - top < MIN_SIDE_PIXELS:
        return None
    return math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)


def _upright(root: Path, path: str) -> Image.Image:
    """Decode an image to upright pixels that can be stored. Raises BadTrainingData."""
    try:
        with Image.open(root / path) as opened:
            image = upright(opened)
    except Exception as error:  # decoders raise nearly anything on broken bytes: OSError, SyntaxError, struct.error, …
        reason = "it is missing" if isinstance(error, FileNotFoundError) else type(error).__name__
        raise BadTrainingData(f"{path} cannot be read as an image: {reason}.") from error
    if image.mode not in (*_PNG_MODES, *_TIFF_MODES):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    # The rest belongs to the whole file, for example the frames of an animation, and would be stored with each crop.
    image.info = {name: value for name, value in image.info.items() if name == "transparency"}
    return image
