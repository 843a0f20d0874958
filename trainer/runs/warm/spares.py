"""The trainer server's side of spare agents: has one ready for the next run."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from trainer.runs.agent_environment import agent_environment
from trainer.runs.warm.held_process import HeldProcess
from trainer.runs.warm.spare_agent import Assignment

# A run that has just begun needs the processors more than the next one needs its agent.
PAUSE_SECONDS = 5.0

logger = structlog.get_logger()


class SpareAgents:
    """One agent that is started and has no run yet. It ends by itself when this process does. Threads take turns."""

    def __init__(self, log_file: Path) -> None:
        self._log_file = log_file
        self._spare: HeldProcess | None = None
        self._due_seconds = 0.0

    def prepare(self) -> None:
        """Have one, unless the last has just been started or given away."""
        if (self._spare is not None and self._spare.lives) or time.monotonic() < self._due_seconds:
            return
        self._due_seconds = time.monotonic() + PAUSE_SECONDS
        self.close()
        try:
            self._spare = HeldProcess.start(
                "trainer.runs.warm.spare_agent", log_file=self._log_file, environment=agent_environment()
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
        spare = self._spare
        if spare is None or not spare.lives:
            return None
        self._spare = None
        self._due_seconds = time.monotonic() + PAUSE_SECONDS
        with spare.control:
            try:
                Assignment(arguments, list(handed), environment).send(spare.control, log, list(handed.values()))
            except OSError as error:
                logger.warning("a spare agent was not reached", error=str(error))
                spare.process.kill()
                return None
        return spare.process

    def close(self) -> None:
        """Let the spare agent end."""
        if self._spare is not None:
            self._spare.control.close()
            self._spare = None
