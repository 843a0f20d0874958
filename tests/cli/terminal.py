"""A command on a terminal of its own, and what it writes there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """Runs ``visionmesh`` with arguments in the environment of this process, for the length of the block."""

    def __init__(self, *arguments: str, columns: int = 110, lines: int = 36) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._written = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "visionmesh.cli.main", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            # A shell that runs the tests in the background has its children ignore the signal.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm-256color"},
        )
        os.close(theirs)
        self._reading = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._reading.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self._reading.join()
        os.close(self._ours)

    @property
    def raw(self) -> str:
        """All that was written, escape sequences included."""
        return self._written.decode(errors="replace")

    @property
    def text(self) -> str:
        """All that was written, one picture after the other."""
        return _ESCAPES.sub("", self.raw).replace("\r", "")

    def ended(self, seconds: float = 30.0) -> int:
        """Its exit code, once all that it wrote was read."""
        code = self.process.wait(seconds)
        self._reading.join(seconds)
        return code

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 65536)
            except OSError:  # the other end is closed
                return
            if not data:
                return
            self._written += data


def until(happened: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until something is true; fails when it does not become so."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
