"""Small files written whole."""

from __future__ import annotations

import os
from pathlib import Path

from storage.objects.disk import sync_path


def write_whole(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write a file that appears whole or not at all, durable on return; an older one is replaced.

    A ``private`` one is readable by its owner alone.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(temporary, "wb", opener=_private_opener if private else None) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_path(path.parent)


def _private_opener(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
