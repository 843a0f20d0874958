"""Starting a training process: from the warm parent where there is one, else with an interpreter of its own."""

from __future__ import annotations

import socket
import time
from typing import Protocol

import structlog

from trainer.runs.agent_settings import AgentSettings
from trainer.runs.folder import RunFolder
from trainer.runs.training_child import TrainingChild
from trainer.runs.warm.training import WarmParentUnavailable, WarmTraining

logger = structlog.get_logger()


class Training(Protocol):
    """A training process under way, the leader of a process group of its own."""

    pid: int

    async def wait(self) -> int | None:
        """Wait for its end and return how it ended, negative for a signal; None where nobody can say."""
        ...

    def kill(self) -> None:
        """Kill the process and its workers."""
        ...


async def start_training(folder: RunFolder, settings: AgentSettings, parent: socket.socket | None) -> Training:
    """Start training on what lies in the run folder; ``parent`` is a connection to the warm parent."""
    began = time.monotonic()
    if parent is not None:
        try:
            warm = await WarmTraining.start(parent, folder, settings)
        except WarmParentUnavailable as error:
            logger.warning("the warm parent starts no training; a fresh interpreter does", because=str(error))
            parent.close()
        else:
            logger.info("training started", by="warm parent", seconds=round(time.monotonic() - began, 3))
            return warm
    child = await TrainingChild.start(folder, settings)
    logger.info("training started", by="fresh interpreter", seconds=round(time.monotonic() - began, 3))
    return child
