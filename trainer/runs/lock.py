"""The lock that says that a run has a living agent.

It belongs to an open file, so the launcher can take it and hand it to the agent it starts: there is no moment at which
a starting agent looks dead, and no second agent can work on the same folder. The kernel drops it with the process.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self


class AgentLock:
    """A held lock. Closing the last descriptor of the open file lets go of it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def try_acquire(cls, path: Path) -> Self | None:
        """Take the lock, or return None when an agent holds it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    @classmethod
    def inherited(cls, descriptor: int) -> Self:
        """Go on with a lock that was taken by the process that started this one."""
        # The training process must not keep it: it would make a dead agent look alive.
        os.set_inheritable(descriptor, False)
        return cls(descriptor)

    @staticmethod
    def is_held(path: Path) -> bool:
        """Whether an agent holds the lock. Probing never stands in the way of another probe."""
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def close(self) -> None:
        """Close this process's descriptor; the lock stays while another process holds the open file."""
        os.close(self.descriptor)
