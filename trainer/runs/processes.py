"""Processes that outlive the one that started them: who they are, and how to end them."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import Self

import psutil

# The start time is derived from the machine's clock, which may be set a little.
_CLOCK_TOLERANCE_SECONDS = 2.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class ProcessIdentity:
    """A process by pid and start time (seconds since the epoch): a recycled pid is not taken for it."""

    pid: int
    start_time: float

    @classmethod
    def of(cls, pid: int) -> Self:
        """Identify a living process. Raises psutil.NoSuchProcess."""
        return cls(pid, psutil.Process(pid).create_time())

    def is_alive(self) -> bool:
        """Whether this very process runs; a zombie does not."""
        try:
            process = psutil.Process(self.pid)
            return self._is(process) and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def kill_group(self, timeout_seconds: float = 5.0) -> None:
        """Kill the process and the group it leads, and wait until it is gone.

        Raises TimeoutError when it is still there after ``timeout_seconds`` (in an uninterruptible call).
        """
        try:
            if not self._is(psutil.Process(self.pid)):
                return  # the pid belongs to someone else, which it could not while our group had members
        except psutil.NoSuchProcess:
            pass  # members of the group may still be there
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + timeout_seconds
        while self.is_alive():
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {self.pid} does not end")
            time.sleep(_POLL_SECONDS)

    def _is(self, process: psutil.Process) -> bool:
        return abs(process.create_time() - self.start_time) < _CLOCK_TOLERANCE_SECONDS
