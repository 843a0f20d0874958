"""The trainer server's side of warm parents: keeps one alive, and introduces run agents to it."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import structlog

from trainer.runs.training_environment import training_environment
from trainer.runs.warm.held_process import HeldProcess
from trainer.runs.warm.messages import send, socket_pair

# One that ended is missed by nobody for so long: one that cannot import its framework must not try without end.
RESTART_SECONDS = 30.0
# Whatever is imported must not start CUDA only to know whether there is a device: children could not use it then.
_ENVIRONMENT = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}

logger = structlog.get_logger()


class WarmParents:
    """Starts the warm parent of an adapter when it is first needed, and again when it has ended.

    ``threads`` are those of each training. The parent ends by itself once this object or its process is gone and
    nothing that it started runs. Threads take turns.
    """

    def __init__(self, adapter_path: str, threads: int, log_file: Path) -> None:
        self._adapter_path = adapter_path
        self._threads = threads
        self._log_file = log_file
        self._parent: HeldProcess | None = None
        self._due_seconds = 0.0

    def start(self) -> None:
        """Have a parent that lives, unless the last one has just been started."""
        if self._parent is not None and self._parent.lives:
            return
        now = time.monotonic()
        if now < self._due_seconds:
            return
        if self._parent is not None:
            logger.warning("the warm parent ended; starting another", returncode=self._parent.process.returncode)
        self._due_seconds = now + RESTART_SECONDS
        self.close()
        try:
            self._parent = HeldProcess.start(
                "trainer.runs.warm.parent",
                self._adapter_path,
                log_file=self._log_file,
                environment=training_environment(self._threads) | _ENVIRONMENT,
            )
        except OSError:
            # Trainings go on without one, each with an interpreter of its own.
            logger.exception("the warm parent cannot be started")

    def introduce(self) -> socket.socket | None:
        """Give an agent's end of a connection to the parent; None where there is no parent to talk to."""
        self.start()
        if self._parent is None or not self._parent.lives:
            return None
        ours, agents = socket_pair()
        with ours:
            try:
                send(self._parent.control, {}, [ours.fileno()])
            except OSError as error:
                logger.warning("the warm parent was not reached", error=str(error))
                agents.close()
                return None
        return agents

    def close(self) -> None:
        """Let the parent end when it has nothing left to do."""
        if self._parent is not None:
            self._parent.control.close()
            self._parent = None
