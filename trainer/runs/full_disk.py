"""A disk that is full: how it is told from other errors, and the room that a run keeps for saying so."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# No space, no quota, or a limit on the size of a file: whatever is written next fails as well.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DISK_FULL = "DISK_FULL"
MESSAGE = (
    "The trainer's disk is full: the run could write no more. What was trained until then is published. Make room on "
    "the disk, then start the job with `resume`."
)
# What safetensors and other libraries in Rust make of an operating system's error.
_OS_ERROR = re.compile(r"\(os error (\d+)\)|\bOs \{ code: (\d+)")
RESERVE_BYTES = 256 << 10


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or one that it came from, says that the disk takes no more bytes."""
    return any(_number(each) in FULL for each in _chain(error))


class Reserve:
    """A file of ``RESERVE_BYTES`` in the run folder, emptied when the disk is full.

    What is told then, such as the end of the run, finds room. That it is empty tells every process of the run,
    whichever emptied it, that the disk was full.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def make(self) -> None:
        """Take the room. Raises OSError."""
        # No file system makes less of it.
        self._path.write_bytes(os.urandom(RESERVE_BYTES))

    def release(self) -> None:
        """Give the room to whoever writes next."""
        with suppress(FileNotFoundError):
            os.truncate(self._path, 0)

    def is_released(self) -> bool:
        """Whether the disk was full."""
        try:
            return self._path.stat().st_size == 0
        except FileNotFoundError:
            return False


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    found = _OS_ERROR.search(str(error))
    return int(found[1] or found[2]) if found else None
