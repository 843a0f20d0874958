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


# A flush of one file costs about as much as a flush of everything, so many files are flushed together.
MANY_FILES = 32


def sync_tree(folder: Path) -> None:
    """Flush a folder and all that is in it, deepest first."""
    paths = [
        path
        for name, _, files in os.walk(folder, topdown=False, onerror=_reraise)
        for path in (*(Path(name, file) for file in files), Path(name))
    ]
    if len(paths) > MANY_FILES:
        os.sync()
        return
    for path in paths:
        sync_path(path)


def _reraise(error: OSError) -> None:
    # os.walk passes over folders it cannot read unless told otherwise.
    raise error
