"""A named pipe beside the spools of a run: who appends to a spool rings it, and the agent looks at once.

A poll alone is late by half its interval, or costs a processor. Notices of the file system (inotify) would do as well,
but are Linux alone, scarce (128 instances a user by default), and need a library. Pipes are had everywhere; where
they are not, as on some network file systems, the agent's poll remains.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

_ROOM = 4096


class Bell:
    """The agent's end: calls ``rung`` on the event loop when somebody rings, however often they did meanwhile."""

    def __init__(self, path: Path, rung: Callable[[], None]) -> None:
        """To be made on a running event loop."""
        self._path = path
        self._rung = rung
        self._loop = asyncio.get_running_loop()
        self._descriptor = -1
        try:
            path.unlink(missing_ok=True)  # what an earlier agent left may be full
            os.mkfifo(path, 0o600)
            # Open for writing too: otherwise the pipe would be at its end whenever nobody else has it open.
            self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return  # no pipes here
        self._loop.add_reader(self._descriptor, self._hear)

    def close(self) -> None:
        """Listen no more."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._path.unlink(missing_ok=True)
            self._descriptor = -1

    def _hear(self) -> None:
        try:
            os.read(self._descriptor, _ROOM)
        except BlockingIOError:
            return
        self._rung()


class Ringer:
    """The end of who writes. It never waits, and ringing where nobody listens is no error."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def ring(self) -> None:
        """Tell the agent to look."""
        try:
            if self._descriptor < 0:
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.write(self._descriptor, b"\0")
        except BlockingIOError:
            return  # it rings already
        except OSError:
            self.close()  # nobody listens, or there is another pipe by now

    def close(self) -> None:
        """Ring no more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
