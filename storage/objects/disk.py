"""Making what was written survive a power cut."""

from __future__ import annotations

import os
from pathlib import Path


def sync_path(path: Path) -> None:
    """Flush a file's bytes, or a folder's entries, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Flush a folder and all that is in it, deepest first."""
    for name, _, files in os.walk(folder, topdown=False, onerror=_reraise):
        for file in files:
            sync_path(Path(name, file))
        sync_path(Path(name))


def _reraise(error: OSError) -> None:
    # os.walk passes over folders it cannot read unless told otherwise.
    raise error
