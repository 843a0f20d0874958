"""The trainer server's side of spare agents: has one ready for the next run."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from trainer.runs.run_tokens import without_mesh_secrets
from trainer.runs.training_environment import CHECKOUT
from trainer.runs.warm.messages import socket_pair
from trainer.runs.warm.spare_agent import Assignment
from trainer.runs.warm.title import ROOM

# A run that has just begun needs the processors more than the next one needs its agent.
PAUSE_SECONDS = 5.0

logger = structlog.get_logger()


class SpareAgents:
    """One agent that is started and has no run yet. It ends by itself when this process does. Threads take turns."""

    def __init__(self, log_file: Path) -> None:
        self._log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._due_seconds = 0.0

    def prepare(self) -> None:
        """Have one, unless the last has just been started or given away."""
        if (self._process is not None and self._process.poll() is None) or time.monotonic() < self._due_seconds:
            return
        self._due_seconds = time.monotonic() + PAUSE_SECONDS
        self.close()
        self._control, theirs = socket_pair()
        command = [sys.executable, "-m", "trainer.runs.warm.spare_agent"]
        try:
            with theirs, self._log_file.open("ab") as log:
                self._process = subprocess.Popen(
                    [*command, "--control", str(theirs.fileno()), "--room", ROOM],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=CHECKOUT,
                    env=without_mesh_secrets(),
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except OSError:
            # Runs go on without one.
            logger.exception("no spare agent can be started")

    def assign(
        self, arguments: Sequence[str], handed: Mapping[str, int], environment: Mapping[str, str], log: int
    ) -> subprocess.Popen[bytes] | None:
        """Give the spare agent a run, and return its process; None where there is no spare agent.

        ``handed`` are open files by the option of ``trainer.runs.agent`` that names each.
        """
        process, control = self._process, self._control
        if process is None or control is None or process.poll() is not None:
            return None
        self._process, self._control = None, None
        self._due_seconds = time.monotonic() + PAUSE_SECONDS
        with control:
            try:
                Assignment(arguments, list(handed), environment).send(control, log, list(handed.values()))
            except OSError as error:
                logger.warning("a spare agent was not reached", error=str(error))
                process.kill()
                return None
        return process

    def close(self) -> None:
        """Let the spare agent end."""
        if self._control is not None:
            self._control.close()
            self._control = None
