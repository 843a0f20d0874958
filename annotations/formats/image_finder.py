"""Which file of a dataset an annotation file means by ``file_name``."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from annotations.formats.folders import is_image_path
from annotations.formats.split_names import synonyms, words_of_split

_DRIVE = re.compile(r"^[A-Za-z]:")


class ImageFinder:
    """Looks only among the paths of the dataset: no name leads out of it."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = frozenset(paths)
        self._root = common_top(paths)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            if is_image_path(path):
                self._by_name[path.rsplit("/", 1)[-1]].append(path)

    def find(self, file_name: str, annotations: str, split: str) -> str | None:
        """The path of an image that the file ``annotations`` lists, by the folders that ``file_name`` goes through.

        Looked for below the folder of the annotations, the dataset's root, their ``images``, a folder named like the
        split; None when it is at none of these.
        """
        name = _understood(file_name).lstrip("/")
        for folder in self._folders(annotations, split):
            path = posixpath.normpath(posixpath.join(folder, name))
            if path in self._paths:
                return path
        return None

    def find_by_bare_name(self, file_name: str) -> str | None:
        """The only image of this name, whatever its folder; None when there are several, or none."""
        same_name = self._by_name.get(bare_name(file_name), [])
        return same_name[0] if len(same_name) == 1 else None

    def _folders(self, annotations: str, split: str) -> Iterator[str]:
        own = posixpath.dirname(annotations)
        bases = _distinct([own, self._root, "", posixpath.dirname(own)])
        yield from bases
        yield from (posixpath.join(base, "images") for base in bases)
        for word in _distinct([*words_of_split(annotations), *synonyms(split)]):
            for base in bases:
                yield posixpath.join(base, word)
                yield posixpath.join(base, "images", word)
                yield posixpath.join(base, word, "images")


def bare_name(file_name: str) -> str:
    """The name without the folders."""
    return _understood(file_name).rsplit("/", 1)[-1]


def common_top(paths: Iterable[str]) -> str:
    """The one folder that holds everything but hidden files; empty when there is none."""
    tops = {path.split("/")[0] if "/" in path else "" for path in paths if not is_hidden(path)}
    return tops.pop() if len(tops) == 1 else ""


def is_hidden(path: str) -> bool:
    """Whether a file or folder on the way is hidden, or what macOS adds to archives."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))


def _understood(file_name: str) -> str:
    return _DRIVE.sub("", file_name.replace("\\", "/"))


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
