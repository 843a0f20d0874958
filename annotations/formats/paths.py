"""Paths of a dataset as the readers of formats look at them: text with ``/``, nothing on a disk."""

from __future__ import annotations

import re
from collections.abc import Iterable

from annotations.formats.image_finder import is_hidden
from annotations.formats.split_names import split_named


def is_visible(path: str) -> bool:
    """Whether a path is a user's own: hidden files and what macOS adds to archives are not."""
    return not is_hidden(path)


def folder_of(path: str) -> str:
    """The folder a file lies in, ``""`` at the root."""
    return path.rpartition("/")[0]


def name_of(path: str) -> str:
    """The last part of a path."""
    return path.rpartition("/")[2]


def without_suffix(path: str) -> str:
    """A path without the ending of its name, as ``a/b`` of ``a/b.jpg``."""
    folder, slash, name = path.rpartition("/")
    stem, dot, _ = name.rpartition(".")
    return f"{folder}{slash}{stem}" if dot else path


def join(*parts: str) -> str:
    """Parts of a path as one; empty ones are passed over."""
    return "/".join(part for part in parts if part)


def common_folder(paths: Iterable[str]) -> str:
    """The deepest folder that holds all files, ``""`` when they share none."""
    folders = [folder_of(path).split("/") for path in paths]
    if not folders:
        return ""
    first, last = min(folders), max(folders)
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    return "/".join(first[:shared])


def split_of(path: str) -> str:
    """The split that one of the folders of a path is called after, the first that is; empty when none is."""
    return next((split for folder in path.split("/")[:-1] if (split := split_named(folder))), "")


def inside(path: str) -> str:
    """A path as a file of the dataset's may name another: ``\\`` and drive letters undone, ``.`` and ``..`` resolved.

    What would lead out of the dataset leads to its root instead.
    """
    parts: list[str] = []
    for part in re.sub(r"^[A-Za-z]:", "", path.replace("\\", "/")).split("/"):
        if part == "..":
            parts[-1:] = []
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
