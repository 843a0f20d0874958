"""The agent's side of the training process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Self

import trainer
from trainer.runs.agent_settings import AgentSettings
from trainer.runs.devices import VISIBLE_DEVICES
from trainer.runs.folder import RunFolder
from trainer.runs.processes import ProcessIdentity

# The modules of the checkout are found by path, so that the process can work in its own folder.
CHECKOUT = Path(trainer.__file__).resolve().parents[1]

_SECRET_WORDS = ("TOKEN", "SECRET", "PASSWORD", "CREDENTIAL", "ACCESS_KEY", "API_KEY", "DATABASE_URL")
_SERVICE_PREFIXES = ("VISIONMESH_", "AWS_")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class TrainingChild:
    """A started training process, the leader of a process group of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
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
                env=_environment(settings),
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
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # none is left


def _environment(settings: AgentSettings) -> dict[str, str]:
    """This process's environment without secrets, and with the modules, threads and GPU of a training."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_SERVICE_PREFIXES) and not any(word in name.upper() for word in _SECRET_WORDS)
    }
    kept["PYTHONPATH"] = os.pathsep.join(part for part in (str(CHECKOUT), kept.get("PYTHONPATH", "")) if part)
    kept["PYTHONUNBUFFERED"] = "1"
    if settings.device:
        kept[VISIBLE_DEVICES] = settings.device
    return kept | dict.fromkeys(_THREAD_VARIABLES, str(settings.threads))
