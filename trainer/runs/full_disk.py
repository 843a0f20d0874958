"""A disk that is full: how it is told from other errors, and the room that a run keeps for saying so."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from trainer.runs.system_errors import came_from, error_number

# No space, no quota, or a limit on the size of a file: whatever is written next fails as well.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DISK_FULL = "DISK_FULL"
MESSAGE = (
    "The trainer's disk is full: the run could write no more. What was trained until then is published. Make room on "
    "the disk, then start the job with `resume`."
)
RESERVE_BYTES = 256 << 10


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or one that it came from, says that the disk takes no more bytes."""
    return any(error_number(each) in FULL for each in came_from(error, also_during=True))


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
