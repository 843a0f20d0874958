"""Small files written whole."""

from __future__ import annotations

import os
from pathlib import Path

from storage.objects.disk import sync_path


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all, durable on return; an older one is replaced."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_path(path.parent)
