"""First reading of a COCO file: which images and classes it has, and whether it is about objects at all.

Annotations pass by here; none is kept. COCO's own files have the classes behind the annotations, others the images too,
so that objects can be read only once the whole was seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from annotations.formats.coco_categories import BACKGROUND, CocoCategory, Id, in_order, read_category, read_id
from annotations.formats.json_stream import BadJson, Kind, read_pieces
from annotations.limits import MAX_CLASSES, MAX_KEYPOINTS, MAX_LISTED_IMAGES
from annotations.problems import ERROR, WARNING, Problem
from annotations.reading import Source

# DICE's nested variant says ``classes``.
CATEGORY_KEYS = ("categories", "classes")
_LISTS = ("images", "annotations", *CATEGORY_KEYS)
# What is wrong with entries is told of so many.
_MOST_PROBLEMS = 1000


@dataclass(frozen=True, slots=True)
class ListedImage:
    """What a file says of an image, sizes and split unchecked; ``id`` is None where none is given."""

    id: Id | None
    file_name: str
    width: object
    height: object
    split: object


@dataclass(slots=True)
class Survey:
    """What a file holds besides annotations.

    ``images`` has an entry for each of the file's, None where it cannot be used. ``used`` are the category ids on
    annotations. ``drawn``: some annotation has a box, a segmentation or keypoints; ``unclassed``: some has no category.
    ``nested``: annotations stand in their images. ``no_lists`` are keys whose value should be one.
    """

    path: str
    images: list[ListedImage | None] = field(default_factory=list)
    categories: list[CocoCategory] = field(default_factory=list)
    background: set[Id] = field(default_factory=set)
    used: set[Id] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    no_lists: set[str] = field(default_factory=set)
    drawn: bool = False
    unclassed: bool = False
    nested: bool = False
    too_many_classes: bool = False
    problems: list[Problem] = field(default_factory=list)

    def tell(self, kind: str, severity: str, message: str) -> None:
        """Keep a problem with an entry of the file."""
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(Problem(self.path, kind, severity, message))

    @property
    def why_ignored(self) -> str:
        """Why this is no file of objects on images, for people; empty when it is one."""
        if "images" not in self.keys or not (self.nested or "annotations" in self.keys or "classes" in self.keys):
            return "It has no list of images with annotations."
        if not self.drawn and (self.unclassed or self.used - self.background):
            return "Its annotations have neither boxes nor segmentations nor keypoints."
        return ""


def survey(source: Source, path: str) -> Survey:
    """Read a file once. Raises BadJson, whose message completes "this file …"."""
    found = Survey(path)
    with source.open(path) as file:
        for key, kind, value in read_pieces(file):
            found.keys.add(key)
            if key not in _LISTS:
                continue
            if kind is Kind.VALUE:
                found.no_lists.add(key)
            if kind is not Kind.ITEM:
                continue
            if key == "images":
                _add_image(found, value)
            elif key == "annotations":
                _look_at(found, value)
            else:
                _add_category(found, value, len(found.categories) + len(found.background))
    if found.no_lists and "images" in found.keys and found.keys & {"annotations", *CATEGORY_KEYS}:
        raise BadJson(f"has {' and '.join(sorted(found.no_lists))} that are no list")
    found.categories = in_order(found.categories)
    return found


def _add_image(found: Survey, content: object) -> None:
    if len(found.images) >= MAX_LISTED_IMAGES:
        raise BadJson(f"lists more than {MAX_LISTED_IMAGES} images; split it into several")
    found.images.append(_image(found, content))
    if isinstance(content, Mapping) and isinstance(content.get("annotations"), list):
        found.nested = True
        for annotation in content["annotations"]:
            _look_at(found, annotation)


def _image(found: Survey, content: object) -> ListedImage | None:
    number = len(found.images) + 1
    name = content.get("file_name") if isinstance(content, Mapping) else None
    if not isinstance(content, Mapping) or not isinstance(name, str) or not name:
        found.tell("bad_image", WARNING, f"Entry {number} of images has no file_name and was left out. Name its file.")
        return None
    width, height, split = (_small(content.get(key)) for key in ("width", "height", "split"))
    return ListedImage(read_id(content.get("id")), name, width, height, split)


def _small(value: object) -> object:
    """A value that is kept for every image: a list in place of a number is kept as its type."""
    return value if value is None or isinstance(value, int | float | str) else type(value).__name__


def _look_at(found: Survey, annotation: object) -> None:
    if not isinstance(annotation, Mapping):
        return
    if any(isinstance(annotation.get(key), list | dict) and annotation[key] for key in _DRAWN):
        found.drawn = True
    id = category_of(annotation)
    if id is None:
        found.unclassed = True
    elif len(found.used) <= 2 * MAX_CLASSES:
        found.used.add(id)


_DRAWN = ("bbox", "segmentation", "keypoints")


def category_of(annotation: Mapping[str, object]) -> Id | None:
    """The category id of an annotation, also where DICE calls it ``class_id``."""
    return read_id(annotation.get("category_id", annotation.get("class_id")))


def _add_category(found: Survey, content: object, place: int) -> None:
    if len(found.categories) > MAX_CLASSES:
        found.too_many_classes = True
        return
    category = read_category(content, place)
    if category is None:
        said = (
            f"Entry {place + 1} of the categories needs an id, a readable name and at most {MAX_KEYPOINTS} keypoints."
        )
        found.tell("bad_category", ERROR, f"{said} Correct it.")
    elif category.category.name == BACKGROUND:
        found.background.add(category.id)
    else:
        found.categories.append(category)
