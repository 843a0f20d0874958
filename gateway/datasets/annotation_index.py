"""The annotations of a dataset, to be looked up by path: kept in a file on disk for each document, made when needed.

A document is one stream of all images. Reading it to find sixteen of a hundred thousand takes seconds: it is done once.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from annotations.document import read_categories, read_image_lines
from annotations.encoding import decode_category, decode_image, encode_category
from annotations.model import AnnotatedImage, Category
from gateway.datasets.errors import storage_corrupt
from storage.objects import keys
from storage.objects.errors import ObjectMismatch, ObjectNotFound
from storage.objects.manifest import AnnotationsReference
from storage.objects.store import ObjectStore

_SCHEMA = """
PRAGMA journal_mode=OFF;
PRAGMA synchronous=OFF;
CREATE TABLE categories (content TEXT);
CREATE TABLE images (id INTEGER PRIMARY KEY, path TEXT UNIQUE, split TEXT, shows TEXT);
CREATE TABLE contents (id INTEGER PRIMARY KEY, content BLOB);
"""
_BATCH = 1000
_FOLDER = "visionmesh-annotations-"


class AnnotationIndex:
    """One dataset's annotations. For one thread at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        (content,) = connection.execute("SELECT content FROM categories").fetchone()
        self.categories: tuple[Category, ...] = tuple(map(decode_category, json.loads(content)))

    def find(self, path: str) -> AnnotatedImage | None:
        """What is annotated on an image; None for one that is in no split."""
        query = "SELECT content FROM contents WHERE id = (SELECT id FROM images WHERE path = ?)"
        row = self._connection.execute(query, (path,)).fetchone()
        return None if row is None else decode_image(json.loads(row[0]))

    def images(self, split: str) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield each image of a split (empty: of all) with the categories that it shows, each once."""
        query = "SELECT path, shows FROM images" + (" WHERE split = ?" if split else "")
        for path, shows in self._connection.execute(query, (split,) if split else ()):
            yield path, tuple(json.loads(shows))


class AnnotationIndexes:
    """Indexes by the digest of their document, in a folder of this process. They block; safe for many threads."""

    def __init__(self, store: ObjectStore, limit_bytes: int) -> None:
        """Beyond ``limit_bytes`` those that were not used for the longest time are removed, the newest never."""
        self._store = store
        self._limit_bytes = limit_bytes
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}

    def close(self) -> None:
        """Remove all."""
        with self._lock:
            if self._folder is not None:
                self._folder.cleanup()
                self._folder = None

    @contextmanager
    def open(self, dataset_id: str, reference: AnnotationsReference) -> Iterator[AnnotationIndex]:
        """Give the index of a document, made when it is not there. Raises STORAGE_CORRUPT, StoreUnavailable."""
        with closing(self._connect(dataset_id, reference)) as connection:
            yield AnnotationIndex(connection)

    def _connect(self, dataset_id: str, reference: AnnotationsReference) -> sqlite3.Connection:
        with self._lock:
            if self._folder is None:
                _remove_leftovers()
                self._folder = tempfile.TemporaryDirectory(prefix=f"{_FOLDER}{os.getpid()}-")
            path = Path(self._folder.name) / f"{reference.sha256}.db"
            making = self._making.setdefault(reference.sha256, threading.Lock())
        with making:  # who comes second waits for the first
            while True:
                if not path.exists():
                    self._make(path, dataset_id, reference)
                with self._lock:
                    if not path.exists():
                        continue  # removed for another one, just now
                    os.utime(path)
                    self._evict(path)
                    # Open, it can be read to the end also when it is removed meanwhile.
                    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)
                    connection.execute("SELECT 1 FROM categories")
                    return connection

    def _make(self, path: Path, dataset_id: str, reference: AnnotationsReference) -> None:
        document, part = path.with_suffix(".jsonl.gz"), path.with_suffix(".part")
        what = "The annotations object"
        try:
            self._store.get_file(keys.dataset_annotations(dataset_id), document, sha256=reference.sha256)
            part.unlink(missing_ok=True)
            with closing(sqlite3.connect(part)) as connection, connection:
                _fill(connection, document)
            part.replace(path)
        except ObjectNotFound as error:
            raise storage_corrupt(dataset_id, what, "is missing") from error
        except ObjectMismatch as error:
            raise storage_corrupt(dataset_id, what, "is not the one that its manifest names") from error
        except (ValueError, LookupError, TypeError) as error:
            raise storage_corrupt(dataset_id, what, "cannot be read") from error
        finally:
            document.unlink(missing_ok=True)
            part.unlink(missing_ok=True)

    def _evict(self, used: Path) -> None:
        found = [(entry.stat(), entry) for entry in used.parent.glob("*.db")]
        size = sum(status.st_size for status, _ in found)
        for status, entry in sorted(found, key=lambda item: item[0].st_mtime_ns):
            if size > self._limit_bytes and entry != used:
                entry.unlink()
                size -= status.st_size


def _remove_leftovers() -> None:
    """Remove what processes left that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        pid = folder.name.removeprefix(_FOLDER).partition("-")[0]
        if pid.isdigit() and (int(pid) == os.getpid() or not _lives(int(pid))):
            shutil.rmtree(folder, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _fill(connection: sqlite3.Connection, document: Path) -> None:
    """Raises ValueError when the document is none."""
    connection.executescript(_SCHEMA)
    categories = [encode_category(category) for category in read_categories(document)]
    connection.execute("INSERT INTO categories VALUES (?)", (json.dumps(categories),))
    images: list[tuple[int, str, str, str]] = []
    contents: list[tuple[int, bytes]] = []

    def flush() -> None:
        connection.executemany("INSERT INTO images VALUES (?, ?, ?, ?)", images)
        connection.executemany("INSERT INTO contents VALUES (?, ?)", contents)
        images.clear()
        contents.clear()

    for place, line in enumerate(read_image_lines(document)):
        image = json.loads(line)
        shows = sorted({found["category"] for found in image["objects"]})
        images.append((place, image["path"], image["split"], json.dumps(shows)))
        contents.append((place, line))
        if len(images) == _BATCH:
            flush()
    flush()
