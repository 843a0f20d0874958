"""Files of annotations that are read as a whole, within a limit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Any, Self

from annotations.reading import Source

_LONGEST_LINE = 4096
_IN_MEMORY = 8 * 1024 * 1024


class Unreadable(Exception):
    """Why a file cannot be read: a sentence for people."""


def read_bytes(source: Source, path: str, most: int) -> bytes:
    """All bytes of a file. Raises Unreadable when there are more than ``most``."""
    if source.size_bytes(path) > most:
        raise Unreadable(f"The file is larger than {most // 1024} KiB, more than annotations of its kind ever take.")
    with source.open(path) as file:
        return file.read()


def read_text(source: Source, path: str, most: int) -> str:
    """The text of a file in UTF-8. Raises Unreadable when it is none or longer than ``most`` bytes."""
    try:
        return read_bytes(source, path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable("The file is no text in UTF-8. Save it as one.") from error


def read_lines(source: Source, path: str) -> Iterator[str]:
    """The lines of a file of any size that are not empty, without white space around; overlong ones are passed over."""
    with source.open(path) as file:
        whole = True
        while line := file.readline(_LONGEST_LINE):
            text = line.decode("utf-8-sig", errors="replace").strip()
            ends = line.endswith(b"\n") or len(line) < _LONGEST_LINE
            if whole and ends and text:
                yield text
            whole = ends


class Spool:
    """JSON values put aside while a dataset is read for the first time, to be gone through once more.

    A reader may have to know every label before it understands the first one, and reading files of an object store
    twice takes twice as long. Beyond a few megabytes the values lie on disk.
    """

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(_IN_MEMORY, mode="w+b")  # noqa: SIM115 (closed by close)

    def add(self, value: object) -> None:
        """Put a value behind the others."""
        self._file.write(json.dumps(value, separators=(",", ":")).encode() + b"\n")

    def __iter__(self) -> Iterator[Any]:
        self._file.seek(0)
        for line in self._file:
            yield json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
