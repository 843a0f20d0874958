"""Reads a folder with a format's reader, and holds what came of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from annotations.draft import Draft
from annotations.model import AnnotatedImage, AnnotatedObject, Category
from annotations.problems import Problem
from annotations.reading import Reader
from tests.annotations.folder_source import FolderSource

PAGE = Path(__file__).parents[2] / "docs" / "datasets.md"
# What the page says of problems: kind and severity.
DOCUMENTED = {
    (kind, severity) for kind, severity in re.findall(r"^\| `([a-z_]+)` \| (WARNING|ERROR)", PAGE.read_text(), re.M)
}


@dataclass(frozen=True)
class Result:
    """What a reader made of a folder."""

    categories: tuple[Category, ...]
    images: Mapping[str, AnnotatedImage]
    problems: Sequence[Problem]

    @property
    def class_names(self) -> list[str]:
        return [category.name for category in self.categories]

    @property
    def splits(self) -> dict[str, str]:
        return {path: image.split for path, image in self.images.items()}

    @property
    def told(self) -> list[tuple[str, str, str]]:
        """Severity, kind and path of each problem."""
        return [(problem.severity, problem.kind, problem.path) for problem in self.problems]

    @property
    def kinds(self) -> list[str]:
        return [problem.kind for problem in self.problems]

    def objects(self, path: str) -> tuple[AnnotatedObject, ...]:
        return self.images[path].objects


def read_folder(reader: Reader, folder: Path) -> Result:
    """Read a folder as it is now. Whatever is told stands in the page that people look it up in."""
    with TemporaryDirectory() as beside, Draft(Path(beside) / "draft") as draft:
        reader(FolderSource(folder), draft)
        assert {(problem.kind, problem.severity) for problem in draft.problems} <= DOCUMENTED
        return Result(draft.categories, {image.path: image for image in draft.images()}, draft.problems)


def write_json(path: Path, content: object) -> Path:
    """Write a JSON file, with folders on the way; NaN and infinities as Python writes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
