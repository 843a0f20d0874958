"""A dataset's annotations while they are read: kept in a file, since a dataset may hold millions of objects.

Readers add images, objects and problems in any order; afterwards the images come out sorted by path, each with all that
is annotated on it.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

from annotations.encoding import decode_object, encode_object
from annotations.model import AnnotatedImage, AnnotatedObject, Category
from annotations.problems import Problem

# Of one kind so many problems are told one by one; the rest is counted.
PROBLEMS_OF_A_KIND = 1000
# Objects wait in memory for the next write: so many of them, or so many characters.
_BATCH = 1000
_BATCH_CHARACTERS = 4 << 20

_SCHEMA = """
CREATE TABLE images (path TEXT PRIMARY KEY, width INTEGER, height INTEGER, split TEXT) WITHOUT ROWID;
CREATE TABLE objects (path TEXT, content TEXT);
"""


class Draft:
    """Annotations on their way into the model. For one thread at a time; its file is gone when it is closed."""

    def __init__(self, path: Path) -> None:
        """``path`` is a file to be made; it holds nothing worth keeping."""
        path.unlink(missing_ok=True)
        self._path = path
        self._database = sqlite3.connect(path, check_same_thread=False)
        self._database.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;" + _SCHEMA)
        self._waiting: list[tuple[str, str]] = []
        self._waiting_characters = 0
        self._problems: list[Problem] = []
        self._counts: Counter[tuple[str, str]] = Counter()
        self.categories: tuple[Category, ...] = ()

    def set_categories(self, categories: Iterable[Category]) -> None:
        """Say which classes there are; objects name them by their place."""
        self.categories = tuple(categories)

    def add_image(self, path: str, width: int, height: int, split: str = "") -> bool:
        """Add an image; without a split it is given one afterwards. False when the path was there: nothing changes."""
        row = (path, width, height, split)
        return self._database.execute("INSERT OR IGNORE INTO images VALUES (?, ?, ?, ?)", row).rowcount > 0

    def add_object(self, path: str, found: AnnotatedObject) -> None:
        """Add an object of an image, which may itself be added later; objects of no image are dropped."""
        content = json.dumps(encode_object(found), separators=(",", ":"))
        self._waiting.append((path, content))
        self._waiting_characters += len(content)
        if len(self._waiting) >= _BATCH or self._waiting_characters >= _BATCH_CHARACTERS:
            self._flush()

    def report(self, problem: Problem) -> None:
        """Tell what is wrong. Beyond ``PROBLEMS_OF_A_KIND`` a kind is only counted."""
        kind = problem.kind, problem.severity
        self._counts[kind] += 1
        if self._counts[kind] <= PROBLEMS_OF_A_KIND:
            self._problems.append(problem)

    @property
    def problems(self) -> Sequence[Problem]:
        """What was reported, with one more of each kind that was too frequent, which says how many were left out."""
        rest = [
            Problem("", kind, severity, f"{count - PROBLEMS_OF_A_KIND} more problems of this kind are not listed.")
            for (kind, severity), count in self._counts.items()
            if count > PROBLEMS_OF_A_KIND
        ]
        return [*self._problems, *rest]

    @property
    def image_count(self) -> int:
        """Images added."""
        (count,) = self._database.execute("SELECT count(*) FROM images").fetchone()
        return int(count)

    def splits(self) -> Iterator[tuple[str, str]]:
        """Yield (path, split) of every image, sorted by path; the split is empty where none was given."""
        yield from self._database.execute("SELECT path, split FROM images ORDER BY path")

    def set_splits(self, splits: Iterable[tuple[str, str]]) -> None:
        """Put images, by path, into splits."""
        changes = [(split, path) for path, split in splits]
        self._database.executemany("UPDATE images SET split = ? WHERE path = ?", changes)

    def drop_images(self, paths: Iterable[str]) -> None:
        """Leave images out, and their objects with them."""
        self._database.executemany("DELETE FROM images WHERE path = ?", [(path,) for path in paths])

    def images(self) -> Iterator[AnnotatedImage]:
        """Yield every image, sorted by path, its objects in the order in which they were added."""
        self._flush()
        self._database.execute("CREATE INDEX IF NOT EXISTS objects_by_path ON objects (path)")
        query = "SELECT path, width, height, split FROM images ORDER BY path"
        of_image = "SELECT content FROM objects WHERE path = ? ORDER BY rowid"
        # Cursors of their own, so that images may be read while others are.
        with closing(self._database.cursor()) as images, closing(self._database.cursor()) as objects:
            for path, width, height, split in images.execute(query):
                found = tuple(decode_object(json.loads(content)) for (content,) in objects.execute(of_image, (path,)))
                yield AnnotatedImage(path, width, height, split, found)

    def close(self) -> None:
        """Remove the file."""
        self._database.close()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _flush(self) -> None:
        self._database.executemany("INSERT INTO objects VALUES (?, ?)", self._waiting)
        self._waiting.clear()
        self._waiting_characters = 0
