"""The run agent: ``python -m trainer.runs.agent RUN_FOLDER [--lock-fd N] [--warm-fd N] [--recover]``.

One small process per run, without torch. It prepares the data, starts the training process, publishes what that tells,
uploads its checkpoints, and says how the run ended, which is the run's last event. Started for a folder whose agent
died, it ends what is left of the training and publishes the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import structlog

from rpc.kill_points import KillPoint, passing
from rpc.logs import configure_logs
from trainer.runs import endings
from trainer.runs.agent_events import AgentEvents
from trainer.runs.agent_settings import RUN_TOKEN_VARIABLE
from trainer.runs.daemon import in_daemon_thread
from trainer.runs.failures import is_io_error
from trainer.runs.folder import STACKS_SIGNAL, RunFolder
from trainer.runs.full_disk import is_disk_full
from trainer.runs.lock import AgentLock
from trainer.runs.log_tail import LogTail
from trainer.runs.object_signing import ObjectSigner
from trainer.runs.pending import PendingEvents
from trainer.runs.preparation import PreparationFailed, StopDuringPreparation, prepare
from trainer.runs.processes import ProcessIdentity
from trainer.runs.progress import no_progress
from trainer.runs.publisher import EventPublisher
from trainer.runs.resources import tell_resources
from trainer.runs.store_access import StoreAccess
from trainer.runs.training_start import Training, start_training
from trainer.runs.uploads import CheckpointLost, CheckpointUploads
from visionmesh.mesh.v1 import run_pb2

STOP_POLL_SECONDS = 0.2
# Time for a training that is stuck to write where.
STACKS_SECONDS = 1.0
LAST_OUTPUT_BYTES = 4096

logger = structlog.get_logger()


class RunAgent:
    """Carries one run from its folder to its end.

    ``recover`` says that an earlier agent of it died; ``warm_parent`` is a connection to one, where there is one.
    """

    def __init__(
        self, folder: RunFolder, token: str, *, recover: bool, warm_parent: socket.socket | None = None
    ) -> None:
        self._folder = folder
        self._recover = recover
        self._spec = folder.spec()
        self._settings = folder.settings()
        self._events = AgentEvents(folder)
        self._logs = LogTail(folder)
        self._signer = ObjectSigner(self._settings.mesh_target, token)
        self._store = StoreAccess(self._settings.object_store, self._events, self._signer.sign)
        self._uploads = CheckpointUploads(folder, self._spec, self._store, self._events)
        self._warm_parent = warm_parent
        self._child: Training | None = None
        self._pending = PendingEvents(folder)
        self._publisher = EventPublisher(
            self._spec,
            self._pending,
            bell=folder.bell,
            target=self._settings.mesh_target,
            token=token,
            max_message_bytes=self._settings.max_message_bytes,
            heartbeat_seconds=self._settings.heartbeat_seconds,
            request_stop=folder.request_stop,
            refusal_seconds=self._settings.refusal_seconds,
        )

    async def run(self) -> None:
        """Work until nothing is left to do for the run, and mark its folder so."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._folder.request_stop)
        publishing = asyncio.create_task(self._publisher.run())
        signing = asyncio.create_task(self._signer.run())
        working = asyncio.create_task(self._work())
        abandoning = asyncio.create_task(self._publisher.abandoned.wait())
        locked_out = asyncio.create_task(self._publisher.locked_out.wait())
        tasks: set[asyncio.Task[Any]] = {publishing, signing, working, abandoning, locked_out}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in (publishing, signing, working):
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._child is not None:
                self._child.kill()
        why = self._why_ended()
        logger.info("nothing is left to do", why=why)
        self._folder.mark_ended(why)

    def _why_ended(self) -> str:
        if self._publisher.locked_out.is_set():
            return "refused"
        # A gateway that has everything says so, and that nothing more is wanted, in one breath.
        return "published" if self._events.ended and self._pending.settled() else "abandoned"

    async def _work(self) -> None:
        if not self._events.ended:
            end = await self._end_of_run()
            # The end is the last event of the run: nothing may come behind it.
            await self._publisher.drained()
            if self._publisher.refusal is not None:
                end = endings.refused(self._publisher.refusal)
            self._events.end(end)
            passing(KillPoint.END_RECORDED)
        await self._publisher.drained()
        passing(KillPoint.END_PUBLISHED)
        logger.info("run ended and published")

    async def _end_of_run(self) -> run_pb2.RunEnd:
        """Train, or end what an earlier agent left; return how it ended once all of it is uploaded."""
        over = asyncio.Event()
        telling = asyncio.create_task(self._logs.follow(over))
        uploading = asyncio.create_task(self._uploads.follow(over))
        measuring = asyncio.create_task(tell_resources(self._folder, self._events, self._settings.resource_seconds))
        try:
            end = await (self._end_leftovers() if self._recover else self._train(uploading))
            over.set()
            await telling
            await uploading
        except asyncio.CancelledError:
            # Abandoned: what waits for a store that is away must not be waited for.
            telling.cancel()
            uploading.cancel()
            raise
        except Exception as error:
            return _own_failure(error)
        finally:
            over.set()
            measuring.cancel()
            if self._child is not None:
                self._child.kill()
            # Whatever went wrong, what the training said until then is told.
            await asyncio.gather(telling, uploading, measuring, return_exceptions=True)
        return self._uploads.training_end or end

    async def _train(self, uploading: asyncio.Task[None]) -> run_pb2.RunEnd:
        """Prepare and train; return how it ended as seen from outside the training process."""
        stopping = asyncio.create_task(self._stop_requested())
        in_use = ExitStack()
        preparing = asyncio.create_task(
            prepare(self._folder, self._spec, self._settings, self._store, self._events, in_use)
        )
        limit = self._spec.no_progress_seconds
        # Others are waited for, however long.
        stuck = asyncio.create_task(no_progress([self._folder.agent_spool], limit, self._store.waits))
        try:
            await asyncio.wait({preparing, stopping, stuck}, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                return endings.stopped()
            if not preparing.done():
                return endings.hung(limit, "The preparation")
            stuck.cancel()
            preparing.result()
            self._child = await start_training(self._folder, self._settings, self._warm_parent)
            return await self._wait(self._child, stopping, uploading)
        except StopDuringPreparation:
            return endings.stopped()
        except PreparationFailed as error:
            return endings.failed(error.reason, str(error), **error.metadata)
        finally:
            for task in (preparing, stopping, stuck):
                task.cancel()
            await asyncio.gather(preparing, stopping, stuck, return_exceptions=True)
            await self._let_go(in_use)

    async def _wait(
        self, child: Training, stopping: asyncio.Task[None], uploading: asyncio.Task[None]
    ) -> run_pb2.RunEnd:
        folder, limit = self._folder, self._spec.no_progress_seconds
        waiting = asyncio.create_task(child.wait())
        stuck = asyncio.create_task(no_progress([folder.training_spool, folder.stdout, folder.stderr], limit))
        filled = asyncio.create_task(self._disk_filled())
        hung = overdue = False
        try:
            # Uploads go on as long as the training: ended before it, they failed.
            ends = {waiting, stopping, uploading, stuck, filled}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done() or uploading.done() or filled.done():
                logger.debug("the training is over")
            elif not stopping.done():
                hung = True
                await self._tell_stacks()
            else:
                grace = self._settings.stop_grace_seconds
                await asyncio.wait({waiting, uploading}, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
                overdue = not waiting.done()
        finally:
            stuck.cancel()
            filled.cancel()
            if not waiting.done():
                logger.warning("killing the training", overdue_stop=overdue, hung=hung)
                child.kill()
        returncode = await waiting
        if returncode is not None:
            folder.record_exit(returncode)
        logger.info("training process ended", returncode=returncode)
        if folder.reserve.is_released():
            return endings.disk_full()
        if hung:
            return endings.hung(limit, "The training")
        return endings.stopped() if overdue else endings.process_gone(self._spec, returncode, self._last_output())

    async def _tell_stacks(self) -> None:
        """Let a training that is stuck write where it stands, which the job's log then says."""
        training = self._folder.training_process()
        if training is not None and training.is_alive():
            with suppress(ProcessLookupError):
                os.kill(training.pid, STACKS_SIGNAL)
            await asyncio.sleep(STACKS_SECONDS)

    def _last_output(self) -> str:
        try:
            with self._folder.stderr.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - LAST_OUTPUT_BYTES))
                return file.read().decode(errors="replace")
        except OSError:
            return ""

    async def _let_go(self, in_use: ExitStack) -> None:
        """Let the caches evict what the run used."""
        try:
            await in_daemon_thread(in_use.close)
        except OSError:
            # The next one who opens the cache tidies up; the run has nothing to do with it.
            logger.exception("the cache cannot be tidied")

    async def _end_leftovers(self) -> run_pb2.RunEnd:
        """Make sure that nothing of an earlier agent's training lives."""
        training = self._folder.training_process()
        if training is not None:
            await asyncio.to_thread(training.kill_group)
        if self._folder.reserve.is_released():
            return endings.disk_full()
        return endings.stopped() if self._folder.stop_requested() else endings.agent_gone()

    async def _stop_requested(self) -> None:
        while True:
            if self._folder.stop_requested():
                return
            await asyncio.sleep(STOP_POLL_SECONDS)  # any process may ask, by a file

    async def _disk_filled(self) -> None:
        while True:
            if self._folder.reserve.is_released():
                return
            await asyncio.sleep(STOP_POLL_SECONDS)  # any process of the run may find it full


def _own_failure(error: Exception) -> run_pb2.RunEnd:
    """How a run ends whose agent cannot go on."""
    if is_disk_full(error):
        return endings.disk_full()
    if isinstance(error, CheckpointLost):
        broken = error.__cause__ is not None and is_io_error(error.__cause__)
        return endings.failed("TRAINER_IO_ERROR" if broken else "STORAGE_CORRUPT", str(error))
    logger.error("the agent failed", exc_info=error)
    return endings.failed("INTERNAL", "The run agent failed; its log in the trainer's run folder tells more.")


def main(arguments: list[str]) -> int:
    """Be the agent of a run; 0 when nothing is left to do for it, 1 when another agent works on it."""
    parser = argparse.ArgumentParser(prog="python -m trainer.runs.agent")
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("--lock-fd", type=int, help="descriptor of the run's lock, taken by the one who starts this")
    parser.add_argument("--warm-fd", type=int, help="descriptor of a connection to the warm parent")
    parser.add_argument("--recover", action="store_true", help="end a run whose agent died")
    options = parser.parse_args(arguments)
    folder = RunFolder(options.run_folder.resolve())
    settings, spec = folder.settings(), folder.spec()
    configure_logs(settings.log_level, settings.log_json)
    structlog.contextvars.bind_contextvars(run_id=spec.run_id, job_id=spec.job_id)
    if options.lock_fd is not None:
        AgentLock.inherited(options.lock_fd)
    elif AgentLock.try_acquire(folder.agent_lock) is None:
        logger.warning("another agent works on this run")
        return 1
    if folder.is_ended():
        return 0
    recover = options.recover or folder.agent_process() is not None
    folder.record_agent(ProcessIdentity.of(os.getpid()))
    token = os.environ.pop(RUN_TOKEN_VARIABLE, "")
    warm_parent = None
    if options.warm_fd is not None:
        warm_parent = socket.socket(fileno=options.warm_fd)
        warm_parent.set_inheritable(False)
    logger.info("agent started", recover=recover)
    asyncio.run(RunAgent(folder, token, recover=recover, warm_parent=warm_parent).run())
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that wait for a store that hangs must not keep a finished agent.
    os._exit(code)
