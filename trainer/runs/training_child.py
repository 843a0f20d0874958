"""The agent's side of the training process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Self

from trainer.runs.agent_settings import AgentSettings
from trainer.runs.folder import RunFolder
from trainer.runs.processes import ProcessIdentity
from trainer.runs.training_environment import training_environment


class TrainingChild:
    """A training process that this process started, with an interpreter of its own; leads its own process group."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.pid = process.pid
        self._process = process
        self._gone = False

    @classmethod
    async def start(cls, folder: RunFolder, settings: AgentSettings) -> Self:
        """Start training on what lies in the run folder; its output goes to files there."""
        folder.work.mkdir(exist_ok=True)
        with folder.stdout.open("ab") as stdout, folder.stderr.open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "trainer.runs.process",
                str(folder.path),
                str(folder.dataset_file),
                # Closed by the kernel when this agent dies: the process then ends itself.
                stdin=asyncio.subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                cwd=folder.work,
                env=training_environment(settings.threads, settings.device),
                process_group=0,
            )
        child = cls(process)
        try:
            folder.record_training(ProcessIdentity.of(process.pid))
        except BaseException:
            child.kill()
            raise
        return child

    async def wait(self) -> int:
        """Wait for its end and return how it ended, negative for a signal; workers it left behind are killed."""
        returncode = await self._process.wait()
        self.kill()
        self._gone = True
        return returncode

    def kill(self) -> None:
        """Kill the process and its workers. After its end was waited for, its number may belong to another group."""
        if self._gone:
            return
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # none is left
