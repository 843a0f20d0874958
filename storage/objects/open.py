"""From a setting to a store: the one place that knows which implementations there are."""

from __future__ import annotations

from pathlib import Path

from storage.objects.local import LocalObjectStore
from storage.objects.store import ObjectStore


def open_store(folder: str) -> ObjectStore:
    """Open the store in a local folder, made when it does not exist; ``~`` is the user's home.

    Raises StoreUnavailable when the folder cannot be used.
    """
    return LocalObjectStore(Path(folder).expanduser())
