"""Signs of progress of a run: files that grow. One that gives none for too long is stuck."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

POLL_SECONDS = 0.5


async def no_progress(files: Sequence[Path], seconds: int, excused: Callable[[], bool] = lambda: False) -> None:
    """Return once none of ``files`` has changed its size for so many seconds; 0: never.

    The time in which ``excused`` is true does not count, nor does that in which the machine sleeps.
    """
    sizes = _sizes(files)
    changed = time.monotonic()
    while not seconds or time.monotonic() - changed < seconds:
        await asyncio.sleep(POLL_SECONDS)
        latest = _sizes(files)
        if latest != sizes or excused():
            sizes, changed = latest, time.monotonic()


def _sizes(files: Sequence[Path]) -> list[int]:
    return [_size(file) for file in files]


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
