"""The classes of several COCO files put together by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from annotations.draft import Draft
from annotations.formats.coco_categories import CocoCategory, Id, without_group
from annotations.formats.coco_survey import Survey
from annotations.formats.telling import shown
from annotations.limits import MAX_CLASSES
from annotations.model import Category
from annotations.problems import ERROR, WARNING, Problem


class Classes:
    """The classes of all files together: by id in the first file, then those that only later ones have."""

    def __init__(self, draft: Draft, surveys: Sequence[Survey]) -> None:
        self._draft = draft
        self._surveys = surveys
        self._places: dict[str, int] = {}
        self._found: list[Category] = []
        self._of_file: dict[str, dict[Id, int]] = {}
        for found in surveys:
            self._of_file[found.path] = self._take_in(found, without_group(found.categories, found.used))

    @property
    def categories(self) -> Sequence[Category]:
        """In the order of their places."""
        return self._found

    def places(self, path: str) -> Mapping[Id, int]:
        """The places of a file's categories, by id."""
        return self._of_file[path]

    def are_usable(self) -> bool:
        """Report what makes them unusable."""
        if len(self._found) > MAX_CLASSES or any(found.too_many_classes for found in self._surveys):
            path = self._surveys[0].path if len(self._surveys) == 1 else ""
            said = f"There are more than {MAX_CLASSES} categories. Were ids or file names written as classes?"
            self._draft.report(Problem(path, "too_many_classes", ERROR, said))
            return False
        if not self._found:
            for found in self._surveys:
                said = "There is no category that objects could be of. Name the classes under categories."
                self._draft.report(Problem(found.path, "bad_category", ERROR, said))
        return bool(self._found)

    def _take_in(self, found: Survey, categories: Sequence[CocoCategory]) -> dict[Id, int]:
        places: dict[Id, int] = {}
        own: dict[str, Id] = {}
        for entry in categories:
            name = entry.category.name
            place = self._places.setdefault(name, len(self._found))
            if place == len(self._found):
                self._found.append(entry.category)
            elif entry.category.keypoint_names and not self._found[place].keypoint_names:
                self._found[place] = entry.category
            if places.setdefault(entry.id, place) != place:
                said = f"Several categories have the id {shown(entry.id)}. Number them"
                self._report(found.path, "bad_category", ERROR, said)
            elif own.setdefault(name, entry.id) != entry.id:
                ids = f"{shown(own[name])} and {shown(entry.id)}"
                said = f"The categories {ids} are both called {shown(name)}, and were made one. Rename or number them"
                self._report(found.path, "duplicate_class", WARNING, said)
        return places

    def _report(self, path: str, kind: str, severity: str, message: str) -> None:
        self._draft.report(Problem(path, kind, severity, f"{message} anew."))
