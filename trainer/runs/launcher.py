"""The launcher of one machine: starts run agents, finds them again after a restart, and ends what they left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from itertools import count

import structlog
from google.protobuf.timestamp_pb2 import Timestamp

from rpc.errors import DomainError
from rpc.kill_points import VARIABLE as KILL_VARIABLE
from rpc.kill_points import KillPoint, passing
from storage.objects.open import absolute
from trainer.runs.agent_environment import agent_environment
from trainer.runs.agent_settings import RUN_TOKEN_VARIABLE, AgentSettings
from trainer.runs.devices import visible_gpus
from trainer.runs.folder import RunFolder
from trainer.runs.full_disk import DISK_FULL, is_disk_full
from trainer.runs.lock import AgentLock
from trainer.runs.run_tokens import RunTokens
from trainer.runs.training_environment import CHECKOUT
from trainer.runs.warm.fast_start import FastStart
from trainer.settings import TrainerSettings
from visionmesh.mesh.v1 import run_pb2, trainer_pb2

KEPT_RUNS = 20
BUSY_RETRY_SECONDS = 5.0
FIRST_RECOVERY_SECONDS = 1.0
LAST_RECOVERY_SECONDS = 60.0
_KILL_SECONDS = 5.0
_POLL_SECONDS = 0.05

logger = structlog.get_logger()


class LocalLauncher:
    """Runs on this machine, each with an agent in a session of its own that outlives this process.

    Whatever is asked of it, it first looks after the runs: it reaps agents that ended, and starts a recovery agent for
    a run whose agent died. All it knows lies in the run folders. Calls block for a moment; threads may share it.

    ``slots`` is how many runs it has room for. Each has a slot of its own, and with it a GPU where there are some.
    """

    def __init__(self, settings: TrainerSettings, adapter_path: str) -> None:
        self._gpus = visible_gpus()
        self.slots = settings.slots if settings.slots is not None else max(1, len(self._gpus))
        self._runs = settings.data_folder.resolve() / "runs"
        self._tokens = RunTokens(settings.data_folder.resolve() / "run_tokens")
        self._agent_settings = AgentSettings(
            adapter_path=adapter_path,
            object_store=absolute(settings.object_store),
            mesh_target=settings.mesh_target,
            dataset_cache=settings.dataset_cache_folder.resolve(),
            dataset_cache_bytes=settings.dataset_cache_bytes,
            parallel_downloads=settings.parallel_downloads,
            checkpoint_cache=settings.checkpoint_cache_folder.resolve(),
            checkpoint_cache_bytes=settings.checkpoint_cache_bytes,
            threads=settings.threads_per_run or max(1, (os.cpu_count() or 1) // max(1, self.slots)),
            pretrained_folder=settings.pretrained_folder.resolve() if settings.pretrained_folder is not None else None,
            heartbeat_seconds=settings.heartbeat_seconds,
            resource_seconds=settings.resource_seconds,
            max_message_bytes=settings.max_message_bytes,
            log_level=settings.log_level,
            log_json=settings.log_json,
        )
        self._fast_start: FastStart | None = None
        if settings.warm_parent and self.slots and sys.platform == "linux":
            self._fast_start = FastStart(adapter_path, self._agent_settings.threads, settings.data_folder.resolve())
        self._lock = threading.Lock()
        self._children: list[subprocess.Popen[bytes]] = []
        self._recoveries: dict[str, _Recoveries] = {}

    def warm_up(self) -> None:
        """Make ready to start runs quickly; without it, the first run does what it can."""
        if self._fast_start is not None:
            with self._lock:
                self._fast_start.warm_up()

    def start(self, spec: run_pb2.RunSpec, run_token: str) -> None:
        """Start a run, whose agent says who it is by ``run_token``. Raises BUSY when every slot is taken, DISK_FULL.

        A run that was started before is left as it is: the token that it has is as good.
        """
        with self._lock:
            if RunFolder(self._runs / spec.run_id).exists():
                return
            self._look_after()
            if self._free_slots() == 0:
                raise DomainError(
                    "BUSY",
                    f"All {self.slots} slots of this trainer are taken; try again when a run has ended.",
                    metadata={"slots": str(self.slots)},
                    retry_seconds=BUSY_RETRY_SECONDS,
                )
            try:
                self._start(spec, run_token)
            except OSError as error:
                if not is_disk_full(error):
                    raise
                raise DomainError(DISK_FULL, "The trainer's disk is full: make room, then start the job.") from error

    def stop(self, run_id: str, *, kill: bool) -> bool:
        """Ask a run to stop at its next batch, or end it at once and publish nothing more; False: no such run."""
        with self._lock:
            folder = next((folder for folder in RunFolder.all_in(self._runs) if folder.path.name == run_id), None)
            if folder is None:
                return False
            if folder.is_ended():
                return True
            folder.request_stop()
            if kill:
                self._kill(folder)
                folder.mark_ended("killed")
            self._look_after()
            return True

    def statuses(self) -> list[trainer_pb2.RunStatus]:
        """The runs whose folders are kept, oldest first."""
        with self._lock:
            self._look_after()
            return [_status(folder) for folder in RunFolder.all_in(self._runs)]

    def free_slots(self) -> int:
        """Runs that could start now. A run holds its slot until it is published."""
        with self._lock:
            self._look_after()
            return self._free_slots()

    def stop_all(self, deadline_seconds: float) -> None:
        """Ask all runs to stop, and kill those that have not ended by then.

        What those had not yet published is published by recovery agents once a launcher looks after the folder again.
        """
        with self._lock:
            deadline = time.monotonic() + deadline_seconds
            folders = self._active()
            for folder in folders:
                folder.request_stop()
            while any(AgentLock.is_held(folder.agent_lock) for folder in folders) and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            for folder in folders:
                if not folder.is_ended():
                    logger.warning("killing a run that did not end in time", run_id=folder.path.name)
                    self._kill(folder)
            self._reap()

    def close(self) -> None:
        """Start nothing more. What was started goes on."""
        if self._fast_start is not None:
            with self._lock:
                self._fast_start.close()

    def _start(self, spec: run_pb2.RunSpec, run_token: str) -> None:
        self._tokens.keep(spec.run_id, run_token)  # first: no run is without one
        folder = RunFolder.create(self._runs / spec.run_id, spec, self._settings_of(self._next_slot()))
        passing(KillPoint.START_FOLDER_MADE)
        self._start_agent(folder, recover=False)
        passing(KillPoint.START_AGENT_STARTED)

    def _look_after(self) -> None:
        self._reap()
        for folder in self._active():
            if not AgentLock.is_held(folder.agent_lock) and not folder.is_ended():
                self._recover(folder)
        if self._fast_start is not None:
            self._fast_start.look_after()
        self._prune()
        self._tokens.forget_others({folder.path.name for folder in self._active()})

    def _recover(self, folder: RunFolder) -> None:
        run_id = folder.path.name
        recoveries = self._recoveries.setdefault(run_id, _Recoveries())
        if recoveries.is_due():
            logger.warning("the agent of a run died; recovering it", run_id=run_id)
            self._start_agent(folder, recover=True)

    def _start_agent(self, folder: RunFolder, *, recover: bool) -> None:
        lock = AgentLock.try_acquire(folder.agent_lock)
        if lock is None:
            return  # one was started by somebody else
        command = [str(folder.path), *["--recover"] * recover]
        handed = {"--lock-fd": lock.descriptor}
        environment = {RUN_TOKEN_VARIABLE: self._tokens.of(folder.path.name)}
        warm = None if recover or self._fast_start is None else self._fast_start.introduce()
        if warm is not None:
            handed["--warm-fd"] = warm.fileno()
        try:
            with folder.agent_log.open("ab") as log:
                child = None
                if self._fast_start is not None and not recover:
                    child = self._fast_start.assign(command, handed, environment, log.fileno())
                if child is None:
                    inherited = agent_environment()
                    if recover:
                        # The point at which the agent before this one was killed has done its part.
                        inherited.pop(KILL_VARIABLE, None)
                    files = [text for option, file in handed.items() for text in (option, str(file))]
                    child = subprocess.Popen(
                        [sys.executable, "-m", "trainer.runs.agent", *command, *files],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        cwd=CHECKOUT,
                        env=inherited | environment,
                        pass_fds=[*handed.values()],
                        start_new_session=True,
                    )
        finally:
            lock.close()
            if warm is not None:
                warm.close()
        self._children.append(child)

    def _kill(self, folder: RunFolder) -> None:
        """Kill agent and training of a run. The agent first: it would tell of the training's death."""
        deadline = time.monotonic() + _KILL_SECONDS
        while AgentLock.is_held(folder.agent_lock):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the agent of run {folder.path.name} does not end")
            # One that has only been started has not yet said which process it is.
            agent = folder.agent_process()
            if agent is not None and agent.is_alive():
                os.kill(agent.pid, signal.SIGKILL)
            self._reap()
            time.sleep(_POLL_SECONDS)
        training = folder.training_process()
        if training is not None:
            training.kill_group()

    def _reap(self) -> None:
        self._children = [child for child in self._children if child.poll() is None]

    def _active(self) -> list[RunFolder]:
        return [folder for folder in RunFolder.all_in(self._runs) if not folder.is_ended()]

    def _free_slots(self) -> int:
        return max(0, self.slots - len(self._active()))

    def _next_slot(self) -> int:
        """The first slot that no run has: what each has lies in its folder."""
        taken = {folder.settings().slot for folder in self._active()}
        return next(slot for slot in count() if slot not in taken)

    def _settings_of(self, slot: int) -> AgentSettings:
        """Runs of different slots have different GPUs, as long as there are enough."""
        device = self._gpus[slot % len(self._gpus)] if self._gpus else ""
        return self._agent_settings.model_copy(update={"slot": slot, "device": device})

    def _prune(self) -> None:
        ended = [folder for folder in RunFolder.all_in(self._runs) if folder.is_ended()]
        ended.sort(key=RunFolder.ended_seconds)
        for folder in ended[:-KEPT_RUNS]:
            shutil.rmtree(folder.path)
            self._recoveries.pop(folder.path.name, None)


class _Recoveries:
    """When the next recovery of a run may begin: one that fails at once must not be started without end."""

    def __init__(self) -> None:
        self._due_time = 0.0
        self._delay = FIRST_RECOVERY_SECONDS

    def is_due(self) -> bool:
        now = time.monotonic()
        if now < self._due_time:
            return False
        self._due_time = now + self._delay
        self._delay = min(2 * self._delay, LAST_RECOVERY_SECONDS)
        return True


def _status(folder: RunFolder) -> trainer_pb2.RunStatus:
    start = Timestamp()
    start.FromMilliseconds(round(folder.created_seconds() * 1000))
    return trainer_pb2.RunStatus(
        run_id=folder.path.name,
        job_id=folder.spec().job_id,
        alive=AgentLock.is_held(folder.agent_lock),
        start_time=start,
    )
