"""The command line that tools such as ``ps`` show of a process that was forked."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

# Room for the words of a process that is forked; the parent's own command line gives it.
ROOM = "." * 1024

# Places in what follows the name in parentheses, see proc(5): its fields 48 and 49.
_ARGUMENTS_START, _ARGUMENTS_END = 45, 46


def name_process(words: Sequence[str]) -> None:
    """Make this process's command line, as others see it, these words; what is too long is cut off.

    The kernel shows the memory that held the first command line, so that it is what has to be changed.
    """
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[_ARGUMENTS_START]), int(fields[_ARGUMENTS_END])
    room = end - start
    if start == 0 or room <= 0:
        return  # the kernel does not say where it is
    shown = "\0".join(words).encode()[: room - 1]
    ctypes.memmove(start, shown.ljust(room, b"\0"), room)
