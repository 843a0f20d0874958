"""An object on its way into a local folder: a temporary file that is moved into place when it is whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from storage.objects.errors import ObjectMismatch, StoreUnavailable
from storage.objects.store import ObjectInfo


class LocalObjectWriter:
    """The ``ObjectWriter`` of a local folder. ``place`` moves the synced temporary file to where the key says."""

    def __init__(
        self, key: str, temporary: Path, place: Callable[[], None], size_bytes: int | None, sha256: str | None
    ) -> None:
        self._key = key
        self._temporary = temporary
        self._place = place
        self._expected_size = size_bytes
        self._expected_sha256 = sha256
        self._size = 0
        self._digest = hashlib.sha256()
        try:
            self._file = temporary.open("xb")
        except OSError as error:
            raise StoreUnavailable(f"cannot write {key!r}: {error}") from error

    def write(self, data: bytes) -> None:
        """Append bytes. Raises ObjectMismatch, StoreUnavailable; ValueError after commit or abort."""
        self._size += len(data)
        if self._expected_size is not None and self._size > self._expected_size:
            raise ObjectMismatch(self._key, f"{self._expected_size} bytes", f"at least {self._size} bytes")
        self._digest.update(data)
        try:
            self._file.write(data)
        except OSError as error:
            raise StoreUnavailable(f"cannot write {self._key!r}: {error}") from error

    def commit(self) -> ObjectInfo:
        """Verify, sync and move into place. Raises ObjectMismatch, InvalidKey, StoreUnavailable."""
        try:
            info = self.seal()
            self._place()
        except OSError as error:
            raise StoreUnavailable(f"cannot write {self._key!r}: {error}") from error
        finally:
            self.abort()  # after a success there is nothing left to drop
        return info

    def seal(self) -> ObjectInfo:
        """Verify and sync: the temporary file is whole and durable. Raises ObjectMismatch, StoreUnavailable."""
        if self._file.closed:
            raise ValueError(f"the writer of {self._key!r} is closed")
        info = ObjectInfo(self._key, self._size, self._digest.hexdigest())
        self._verify(info)
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            raise StoreUnavailable(f"cannot write {self._key!r}: {error}") from error
        return info

    def abort(self) -> None:
        """Drop what was written."""
        # What a full disk refuses to flush is dropped anyway.
        with suppress(OSError):
            self._file.close()
        self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.abort()

    def _verify(self, info: ObjectInfo) -> None:
        if self._expected_size is not None and info.size_bytes != self._expected_size:
            raise ObjectMismatch(self._key, f"{self._expected_size} bytes", f"{info.size_bytes} bytes")
        if self._expected_sha256 is not None and info.sha256 != self._expected_sha256:
            raise ObjectMismatch(self._key, f"sha256 {self._expected_sha256}", f"sha256 {info.sha256}")
