"""Writing an object's bytes to a local file, verified: what every store's ``get_file`` does."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

from storage.objects.errors import ObjectMismatch


def save_verified(chunks: Iterable[bytes], path: Path, *, key: str, sha256: str, size_bytes: int | None = None) -> None:
    """Write ``chunks`` to ``path``, which appears (or is replaced) only when their SHA-256 is the one expected,
    and their size where it is known.

    Raises ObjectMismatch naming ``key``; OSError when the local disk refuses.
    """
    # A name of its own length: that of ``path`` may already be the longest there is.
    temporary = path.with_name(f".{uuid4().hex}.partial")
    digest, size = hashlib.sha256(), 0
    try:
        with temporary.open("xb") as file:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
        if digest.hexdigest() != sha256:
            raise ObjectMismatch(key, f"sha256 {sha256}", f"sha256 {digest.hexdigest()}")
        if size_bytes is not None and size != size_bytes:
            raise ObjectMismatch(key, f"{size_bytes} bytes", f"{size} bytes")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
