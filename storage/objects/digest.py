"""SHA-256, hexadecimal and lowercase: how bytes are named and verified everywhere."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

_SHA256 = re.compile(r"[0-9a-f]{64}")


def sha256_bytes(data: bytes) -> str:
    """SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_digest(files: Iterable[tuple[str, str]]) -> str:
    """The digest of a set of files, such as a checkpoint's, from name and SHA-256 of each: SHA-256 over the lines
    ``name NUL sha256 LF``, sorted."""
    return sha256_bytes("".join(sorted(f"{name}\0{sha256}\n" for name, sha256 in files)).encode())


def is_sha256(text: str) -> bool:
    """Whether the text has the form of a SHA-256 as this project writes it."""
    return _SHA256.fullmatch(text) is not None
