"""From paths to splits and class names: the layouts of DICE classification and IMAGE_FOLDER.

DICE is ``train/<class>/<image>``, ``val/<class>/<image>`` and optionally ``test/``; IMAGE_FOLDER is the same or plain
``<class>/<image>``. One folder around everything is accepted, and so are folders below the class.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from annotations.problems import WARNING, Problem

SPLITS = ("train", "val", "test")
ANNOTATIONS = "annotations.json"
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class Place:
    """Where a path puts an image."""

    split: str
    label: str


@dataclass(frozen=True)
class Layout:
    """The images by path, in order of their paths, and what is wrong with the rest."""

    places: dict[str, Place]
    problems: tuple[Problem, ...]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Every class that has a file, sorted."""
        return tuple(sorted({place.label for place in self.places.values()}))

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have a file, in the order train, val, test."""
        present = {place.split for place in self.places.values()}
        return tuple(split for split in SPLITS if split in present)


def is_image_path(path: str) -> bool:
    """Whether the name says that it is an image; hidden files and what macOS adds to archives are none."""
    parts = path.split("/")
    if any(part.startswith(".") or part == "__MACOSX" for part in parts):
        return False
    return parts[-1].lower().endswith(SUFFIXES)


def read_layout(format: str, paths: Iterable[str]) -> Layout:
    """Place every image of a DICE or IMAGE_FOLDER dataset."""
    ordered = sorted(paths)
    images = [path for path in ordered if is_image_path(path)]
    top = _common_top(images)
    parts = {path: tuple(path.removeprefix(top).split("/")) for path in images}
    by_split = format == "DICE" or _has_split_folders(parts.values())
    problems: list[Problem] = []
    places: dict[str, Place] = {}
    for path in ordered:
        if path not in parts:
            problems.append(_not_an_image(path))
        elif place := _place(parts[path], by_split):
            places[path] = place
        else:
            problems.append(_outside(path, by_split))
    return Layout(places, tuple(problems))


def _common_top(images: list[str]) -> str:
    """The one folder that holds all images, with ``/``; empty when there is none or when it is a split or a class."""
    tops = {path.split("/")[0] for path in images}
    if len(tops) != 1 or tops <= set(SPLITS) or any(path.count("/") < 2 for path in images):
        return ""
    return f"{tops.pop()}/"


def _has_split_folders(images: Iterable[tuple[str, ...]]) -> bool:
    """Whether the top folders are splits rather than classes that happen to be called ``train`` or ``test``."""
    inside = [parts for parts in images if len(parts) > 1]
    if any(parts[0] == "train" and len(parts) > 2 for parts in inside):
        return True
    return bool(inside) and all(parts[0] in SPLITS and len(parts) > 2 for parts in inside)


def _place(parts: tuple[str, ...], by_split: bool) -> Place | None:
    if not by_split:
        return Place("train", parts[0]) if len(parts) > 1 else None
    return Place(parts[0], parts[1]) if len(parts) > 2 and parts[0] in SPLITS else None


def _not_an_image(path: str) -> Problem:
    return Problem(path, "not_an_image", WARNING, "The name is not that of an image. The file was left out.")


def _outside(path: str, by_split: bool) -> Problem:
    wanted = "train/<class>/<image>, val/<class>/<image> or test/<class>/<image>" if by_split else "<class>/<image>"
    return Problem(path, "outside_layout", WARNING, f"The path is not of the form {wanted}. The file was left out.")
