"""Processes that outlive the one that started them: who they are, and how to end them."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_START_FIELD = 19  # of /proc/PID/stat, counted behind the name: clock ticks from the start of the machine
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class ProcessIdentity:
    """A process by pid and by when it began, so that a recycled pid is not taken for it.

    ``started`` stays the same when the machine's clock is set.
    """

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Self:
        """Identify a living process. Raises psutil.NoSuchProcess."""
        return cls(pid, _started(pid))

    def is_alive(self) -> bool:
        """Whether this very process runs; a zombie does not."""
        try:
            return self._is_there() and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def kill_group(self, timeout_seconds: float = 5.0) -> None:
        """Kill the process and the group it leads, and wait until it is gone.

        Raises TimeoutError when it is still there after ``timeout_seconds`` (in an uninterruptible call).
        """
        try:
            if not self._is_there():
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

    def _is_there(self) -> bool:
        """Whether the pid is this process's, a zombie included. Raises psutil.NoSuchProcess."""
        return _started(self.pid) == self.started


def _started(pid: int) -> str:
    """When a process began, in words that only it has. Raises psutil.NoSuchProcess."""
    try:
        boot_id = _BOOT_ID.read_text().strip()
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    except (FileNotFoundError, ProcessLookupError):
        # No such process, or no Linux: then the clock has to do.
        return str(psutil.Process(pid).create_time())
    return f"{boot_id} {after_name.split()[_START_FIELD]}"
