"""The folder of a run: everything that launcher, agent and training process leave for one another.

run.pb, settings.json            what to run and where; written by the launcher before the folder appears
agent.lock, agent.json           held by the living agent, and which process it is
dataset.json                     the prepared dataset, for the training process
training.json, exit.json         which process trains, and how it ended
training.spool                   events of the training process
log.spool, agent.spool           events of the agent: lines of the output, and its own
bell                             a pipe: who writes a spool wakes the agent by it
stdout.log, stderr.log           output of the training process
agent.log                        the agent's log
stop                             there once the run is asked to stop
ended                            there once nothing is left to do; says why
checkpoints/, work/              of the training process
validation-images/               what it said of each validation image, by epoch
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from trainer.runs.agent_settings import AgentSettings
from trainer.runs.files import write_whole
from trainer.runs.full_disk import Reserve
from trainer.runs.processes import ProcessIdentity
from visionmesh.mesh.v1 import run_pb2

# Sent to a training process, makes it write the stacks of all its threads to standard error.
STACKS_SIGNAL = signal.SIGUSR1


class RunFolder:
    """The folder at ``path``; constructing one touches nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.agent_lock = path / "agent.lock"
        self.agent_log = path / "agent.log"
        self.dataset_file = path / "dataset.json"
        self.training_spool = path / "training.spool"
        self.log_spool = path / "log.spool"
        self.agent_spool = path / "agent.spool"
        self.bell = path / "bell"
        self.stdout = path / "stdout.log"
        self.stderr = path / "stderr.log"
        self.stop_file = path / "stop"
        self.work = path / "work"
        self.reserve = Reserve(path / "reserve")
        self._spec_file = path / "run.pb"
        self._settings_file = path / "settings.json"
        self._agent_file = path / "agent.json"
        self._training_file = path / "training.json"
        self._exit_file = path / "exit.json"
        self._ended_file = path / "ended"

    @classmethod
    def create(cls, path: Path, spec: run_pb2.RunSpec, settings: AgentSettings) -> RunFolder:
        """Make the folder of a new run, whole or not at all. Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.partial")
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir()
            draft = cls(temporary)
            draft.work.mkdir()
            draft.reserve.make()
            write_whole(draft._spec_file, spec.SerializeToString())
            write_whole(draft._settings_file, settings.model_dump_json(indent=2).encode())
            os.rename(temporary, path)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        return cls(path)

    @classmethod
    def all_in(cls, runs: Path) -> Iterator[RunFolder]:
        """The folders of all runs that are kept, oldest first."""
        if not runs.is_dir():
            return
        found = [cls(path) for path in runs.iterdir() if not path.name.startswith(".")]
        yield from sorted((folder for folder in found if folder.exists()), key=lambda folder: folder.created_seconds())

    def exists(self) -> bool:
        """Whether there is such a run."""
        return self._spec_file.is_file()

    def created_seconds(self) -> float:
        """When the run was made, in seconds since the epoch."""
        return self._spec_file.stat().st_mtime

    def spec(self) -> run_pb2.RunSpec:
        """The run."""
        return run_pb2.RunSpec.FromString(self._spec_file.read_bytes())

    def settings(self) -> AgentSettings:
        """What the agent needs to know."""
        return AgentSettings.model_validate_json(self._settings_file.read_bytes())

    def request_stop(self) -> None:
        """Ask agent and training to stop."""
        self.stop_file.touch()

    def stop_requested(self) -> bool:
        """Whether the run was asked to stop."""
        return self.stop_file.exists()

    def record_agent(self, identity: ProcessIdentity) -> None:
        """Say which process is the run's agent."""
        _write_json(self._agent_file, asdict(identity))

    def agent_process(self) -> ProcessIdentity | None:
        """The last process that was the run's agent, or None when none began."""
        return _read_identity(self._agent_file)

    def record_training(self, identity: ProcessIdentity) -> None:
        """Say which process trains."""
        _write_json(self._training_file, asdict(identity))

    def training_process(self) -> ProcessIdentity | None:
        """The process that trains or trained, or None when none was started."""
        return _read_identity(self._training_file)

    def record_exit(self, returncode: int) -> None:
        """Say how the training process ended: ``returncode`` as ``subprocess`` tells it, negative for a signal."""
        _write_json(self._exit_file, {"returncode": returncode, "signal": signal_name(returncode)})

    def exit_code(self) -> int | None:
        """How the training process ended, or None when nobody could wait for it."""
        try:
            return int(json.loads(self._exit_file.read_bytes())["returncode"])
        except FileNotFoundError:
            return None

    def mark_ended(self, why: str) -> None:
        """Say that nothing is left to do for this run: ``published``, ``abandoned``, ``refused`` or ``killed``.

        What the training process left in folders goes: checkpoints are in the object store, or nobody wants them.
        """
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
        self.reserve.release()
        write_whole(self._ended_file, f"{why}\n".encode())

    def is_ended(self) -> bool:
        """Whether nothing is left to do for this run."""
        return self._ended_file.exists()

    def ended_why(self) -> str:
        """Why nothing is left to do. Raises FileNotFoundError while something is."""
        return self._ended_file.read_text().strip()

    def ended_seconds(self) -> float:
        """When the run ended, in seconds since the epoch. Raises FileNotFoundError before."""
        return self._ended_file.stat().st_mtime


def signal_name(returncode: int) -> str | None:
    """Name of the signal that ended a process, or None when it ended by itself."""
    if returncode >= 0:
        return None
    known = {item.value: item.name for item in signal.Signals}
    return known.get(-returncode, f"signal {-returncode}")


def _write_json(path: Path, content: object) -> None:
    write_whole(path, json.dumps(content).encode())


def _read_identity(path: Path) -> ProcessIdentity | None:
    try:
        return ProcessIdentity(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
