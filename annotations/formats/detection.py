"""Which format a dataset has, from the names of its files and the first bytes of a few.

In this order: DICE's ``annotations.json``; a ``data.yaml`` (YOLO); COCO's JSON; VOC's XML; label files of numbers (YOLO
again); folders called after classes, which are DICE below ``train``, ``val`` and ``test``, and IMAGE_FOLDER otherwise.
What else a dataset could be is told with the evidence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import chain, islice

from annotations.formats.dice import annotations_path
from annotations.formats.folders import is_image_path, read_layout
from annotations.formats.json_stream import BadJson, read_pieces
from annotations.formats.paths import is_visible
from annotations.formats.split_names import split_named
from annotations.formats.voc_images import xml_paths
from annotations.formats.yolo_labels import BOX_TOKENS, parse_class_id
from annotations.formats.yolo_layout import label_paths, may_be_label
from annotations.formats.yolo_yaml import has_usual_name, yaml_candidates
from annotations.reading import Source

DICE = "DICE"
IMAGE_FOLDER = "IMAGE_FOLDER"
YOLO = "YOLO"
COCO = "COCO"
VOC = "VOC"

# So many files of a kind are looked into, and so many bytes of each.
_LOOKED_INTO = 20
_JSON_HEAD = 1024 * 1024
_TEXT_HEAD = 64 * 1024
_YAML_KEY = re.compile(rb"^(names|nc|kpt_shape|train|val)[ \t]*:", re.MULTILINE)
# Folders that hold images of all classes.
_NO_CLASSES = {"images", "image", "img", "imgs", "jpegimages", "photos"}


@dataclass(frozen=True)
class Detected:
    """A format, and what it was seen by: a phrase for people that begins with the name of a file or a folder."""

    format: str
    evidence: str


def detect(source: Source) -> Detected | None:
    """The format of a dataset; None when nothing fits. Raises what ``source.open`` does."""
    seen = _seen(source)
    if not seen:
        return None
    first = seen[0]
    others = [f"{other.evidence} ({other.format})" for other in seen if other.format != first.format]
    return Detected(first.format, f"{first.evidence}; passed over: {'; '.join(others)}") if others else first


def _seen(source: Source) -> list[Detected]:
    """All that the files fit, the most telling first; what folders are called counts only where nothing else does."""
    folders = _by_folders(source)
    labels = next(_label_files(source), None)
    found = [_by_json(source), _by_yaml(source, telling=labels is not None or folders is None)]
    found += [_by_xml(source), _by_labels(source)]
    seen = [each for each in found if each is not None]
    return sorted(seen, key=_rank) or ([folders] if folders else [])


def _rank(found: Detected) -> int:
    return (DICE, YOLO, COCO, VOC).index(found.format)


def _by_json(source: Source) -> Detected | None:
    root = annotations_path(source)
    if root is not None:
        seen = _look_into_json(source, root)
        if seen.nested:
            return Detected(DICE, f"{root} holds annotations inside its images")
        if seen.splits:
            return Detected(DICE, f"{root} says the split of its images")
        if seen.coco:
            return Detected(COCO, f"{root} lists images and annotations, but no splits")
    paths = [path for path in source.paths if path.lower().endswith(".json") and is_visible(path) and path != root]
    for path in islice(paths, _LOOKED_INTO):
        if _look_into_json(source, path).coco:
            return Detected(COCO, f"{path} lists images and annotations")
    return None


@dataclass
class _JsonSeen:
    """Whether the beginning of a file is COCO's, of DICE's nested variant, and names the splits of images."""

    coco: bool = False
    nested: bool = False
    splits: bool = False


def _look_into_json(source: Source, path: str) -> _JsonSeen:
    seen = _JsonSeen()
    keys: set[str] = set()
    try:
        for key, _, value in read_pieces(BytesIO(_head(source, path, _JSON_HEAD))):
            keys.add(key)
            item = value if isinstance(value, dict) else {}
            if key == "images" and isinstance(item.get("file_name"), str):
                seen.coco = True
                seen.splits = seen.splits or bool(item.get("split"))
                seen.nested = seen.nested or isinstance(item.get("annotations"), list)
            elif key == "annotations" and "image_id" in item:
                # They may come first, and be so many that the beginning holds nothing else.
                seen.coco = True
    except BadJson:  # as a rule because the beginning ends within it
        pass
    seen.coco = seen.coco or {"annotations", "categories"} <= keys
    seen.nested = seen.nested or (seen.coco and "classes" in keys)
    return seen


def _by_yaml(source: Source, *, telling: bool) -> Detected | None:
    """A ``data.yaml``; not ``telling`` where there is no label and folders are called after classes."""
    for path in chain.from_iterable(yaml_candidates(source.paths)) if telling else ():
        keys = {match[1] for match in _YAML_KEY.finditer(_head(source, path, _TEXT_HEAD))}
        if keys & {b"train", b"val"} and (keys & {b"names", b"nc"} or {b"train", b"val"} <= keys):
            return Detected(YOLO, f"{path} names the folders of its splits")
        if keys & {b"names", b"nc", b"kpt_shape"}:
            return Detected(YOLO, f"{path} names the classes")
        if has_usual_name(path):
            return Detected(YOLO, f"{path} is called as ultralytics has it")
    return None


def _by_xml(source: Source) -> Detected | None:
    for path in islice(xml_paths(source.paths), _LOOKED_INTO):
        if re.search(rb"<annotation[\s>]", _head(source, path, _TEXT_HEAD)):
            return Detected(VOC, f"{path} describes an image as Pascal VOC does")
    return None


def _by_labels(source: Source) -> Detected | None:
    for path in islice(_label_files(source), _LOOKED_INTO):
        first = _head(source, path, _TEXT_HEAD).decode("utf-8-sig", errors="replace").strip().partition("\n")[0].split()
        if len(first) >= BOX_TOKENS and parse_class_id(first[0]) is not None and all(map(_is_number, first)):
            return Detected(YOLO, f"{path} holds a line of numbers for each object")
    return None


def _label_files(source: Source) -> Iterator[str]:
    """Text files that lie where the labels of an image would."""
    texts = {path for path in source.paths if may_be_label(path)}
    images: Iterable[str] = (path for path in source.paths if is_image_path(path)) if texts else ()
    return (label for image in images for label in label_paths(image) if label in texts)


def _by_folders(source: Source) -> Detected | None:
    layout = read_layout(IMAGE_FOLDER, (path for path in source.paths if is_image_path(path)))
    if all(name.lower() in _NO_CLASSES or split_named(name) for name in layout.class_names):
        return None
    path, place = next(iter(layout.places.items()))
    if f"/{place.split}/{place.label}/" in f"/{path}":
        return Detected(DICE, f"{place.split}/{place.label} holds images: folders say their splits and classes")
    return Detected(IMAGE_FOLDER, f"{place.label} holds images: folders say their classes")


def _head(source: Source, path: str, size: int) -> bytes:
    with source.open(path) as file:
        return file.read(size)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
