"""The annotations of a READY dataset as one object: gzip over lines of JSON in UTF-8, written once by the analysis.

The first line describes the file, each other line is one image, sorted by path (``annotations.encoding`` shows one):

    {"categories":[{"name":"cat",…}],"images":2,"kind":"annotations","version":1}

The same content gives the same bytes, so the digest in the manifest fixes what a job trains on. Reading and writing go
image by image: memory does not grow with the dataset.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from annotations.encoding import decode_category, decode_image, encode_category, encode_image
from annotations.model import AnnotatedImage, Category

KIND = "annotations"
VERSION = 1
_COMPRESSION = 6


def write_document(path: Path, categories: Sequence[Category], images: Iterable[AnnotatedImage], count: int) -> None:
    """Write ``count`` images, which come sorted by path, to a new file."""
    head = {
        "categories": [encode_category(category) for category in categories],
        "images": count,
        "kind": KIND,
        "version": VERSION,
    }
    # No name and no time in gzip's header: they would make another digest of the same content.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", _COMPRESSION, raw, mtime=0) as file:
        file.write(_line(head))
        for image in images:
            file.write(_line(encode_image(image)))


def read_categories(path: Path) -> tuple[Category, ...]:
    """The categories of a document. Raises ValueError when the file is none."""
    head, _ = _open(path)
    return tuple(decode_category(category) for category in head["categories"])


def read_images(path: Path) -> Iterator[AnnotatedImage]:
    """Yield the images of a document, sorted by path. Raises ValueError when it is cut short or no document."""
    return (decode_image(json.loads(line)) for line in read_image_lines(path))


def read_image_lines(path: Path) -> Iterator[bytes]:
    """The same as lines of JSON (``annotations.encoding``), for those who keep many and look at few."""
    head, lines = _open(path)
    count = 0
    for line in lines:
        count += 1
        yield line
    if count != head["images"]:
        raise ValueError(f"annotations: {count} images in place of {head['images']}")


def _open(path: Path) -> tuple[dict[str, Any], Iterator[bytes]]:
    lines = _lines(path)
    head = json.loads(next(lines, b"null"))
    if not isinstance(head, dict) or head.get("kind") != KIND or head.get("version") != VERSION:
        raise ValueError(f"annotations: no document of version {VERSION}")
    return head, lines


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path, "rb") as file:
            yield from file
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"annotations: cannot be read: {error}") from error


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
