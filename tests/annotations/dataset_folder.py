"""Datasets for tests: folders made of a few lines, and what a reader makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from annotations.draft import Draft
from annotations.model import AnnotatedImage, Category
from annotations.problems import Problem
from annotations.reading import Reader
from tests.annotations.folder_source import FolderSource, save_image

WIDTH, HEIGHT = 200, 100
IMAGE = (WIDTH, HEIGHT)


@dataclass(frozen=True)
class Outcome:
    """All that a reader told a draft."""

    categories: tuple[Category, ...]
    images: dict[str, AnnotatedImage]
    problems: list[Problem]

    @property
    def names(self) -> list[str]:
        return [category.name for category in self.categories]

    @property
    def splits(self) -> dict[str, str]:
        return {path: image.split for path, image in self.images.items()}

    @property
    def kinds(self) -> list[str]:
        return sorted(problem.kind for problem in self.problems)

    def problem(self, kind: str) -> Problem:
        """The only problem of a kind."""
        (found,) = (problem for problem in self.problems if problem.kind == kind)
        return found


def make_dataset(folder: Path, files: Mapping[str, object]) -> Path:
    """Write files: text, bytes, or for a width, a height and maybe an EXIF orientation a real image."""
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, tuple):
            save_image(target, *content)
        elif isinstance(content, bytes):
            target.write_bytes(content)
        else:
            target.write_text(str(content), encoding="utf-8")
    return folder


def read(reader: Reader, folder: Path) -> Outcome:
    """Read a folder into a draft of its own."""
    with Draft(folder.parent / f"{folder.name}.draft") as draft:
        reader(FolderSource(folder), draft)
        return Outcome(draft.categories, {image.path: image for image in draft.images()}, list(draft.problems))
