"""Paths that clients give for the files of a dataset: checked and normalised once, then trusted."""

from __future__ import annotations

import re
import unicodedata

MAX_PATH_BYTES = 1024
MAX_PART_BYTES = 255
SHOWN_CHARACTERS = 200

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DRIVE = re.compile(r"[A-Za-z]:")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class InvalidPath(ValueError):
    """A client's path cannot name a file of a dataset; ``why`` completes the sentence "the path …"."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, why)
        self.path = path
        self.why = why

    def __str__(self) -> str:
        # A path that is far too long must not push out of sight what is wrong with it.
        shown = self.path if len(self.path) <= SHOWN_CHARACTERS else f"{self.path[:SHOWN_CHARACTERS]}…"
        return f"path {shown!r} {self.why}"


def normalize(path: str) -> str:
    """Return a client's path in Unicode NFC, the one spelling under which it is kept.

    A path is relative, with ``/`` between its parts, at most 1024 bytes of UTF-8 and 255 a part.
    Raises InvalidPath.
    """
    # The checks see what is kept: normalising may change the length.
    normalized = unicodedata.normalize("NFC", path)
    why = _objection(normalized)
    if why:
        raise InvalidPath(path, why)
    return normalized


def _objection(path: str) -> str:
    if not path:
        return "is empty"
    if path.startswith("/"):
        return "is absolute; it must be relative to the dataset"
    if _DRIVE.match(path):
        return "begins with a drive letter; it must be relative to the dataset"
    if "\\" in path:
        return "contains a backslash; parts are separated by /"
    if _CONTROL.search(path):
        return "contains a control character"
    if _SURROGATE.search(path):
        return "is not valid Unicode"
    if len(path.encode()) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    for part in path.split("/"):
        if not part:
            return "contains an empty part"
        if part in (".", ".."):
            return f"contains the part {part}"
        if len(part.encode()) > MAX_PART_BYTES:
            return f"contains a part longer than {MAX_PART_BYTES} bytes"
    return ""
