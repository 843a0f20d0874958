"""Which files of a source become files of a dataset, and under which paths."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from gateway.datasets.inventory import Inventory
from storage.objects.errors import SourceUnreadable
from storage.objects.paths import InvalidPath, normalize
from storage.objects.source import Source, SourceFile

# What desktops leave in folders and nobody means to import; the command leaves out the same in uploads.
_CLUTTER = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX"})


@dataclass(frozen=True)
class ListedFile:
    """A file of a source, and its path within the dataset."""

    source: SourceFile
    path: str


def list_source(source: Source, inventory: Inventory, stored: Set[str]) -> list[ListedFile]:
    """The files that are to be copied: all but hidden ones and those of the paths in ``stored``. Blocks.

    Raises SourceUnreadable for a file that no dataset can hold, or that would pass a limit.
    """
    listed: list[ListedFile] = []
    there = set(stored)
    for file in source.files():
        if _hidden(file.name):
            continue
        try:
            path = normalize(file.name)
        except InvalidPath as error:
            raise SourceUnreadable(file.name, f"it cannot be a file of a dataset: the path {error.why}") from error
        if path in there:  # copied before the import was cut off
            there.discard(path)
        elif inventory.holds(path):
            raise SourceUnreadable(file.name, "another file has the same name but for the spelling of its letters")
        elif objections := inventory.objections(path, file.size_bytes):
            raise SourceUnreadable(file.name, "; ".join(said for _, said in objections))
        else:
            inventory.claim(path, file.size_bytes)
            listed.append(ListedFile(file, path))
    return listed


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part in _CLUTTER for part in name.split("/"))
