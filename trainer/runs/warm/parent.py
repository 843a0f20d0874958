"""The warm parent: ``python -m trainer.runs.warm.parent ADAPTER --control FD``.

It imports what trainings of an adapter import, and then forks a training process whenever a run agent asks. The
fork is safe because nothing has begun before it: no thread, no event loop, no channel, no computation and no
accelerator. CUDA above all: a process that was forked from one that uses it cannot use it. So a child sets its threads
and its device up as if it had just been started.

The trainer server holds the other end of the control socket, whose end means that the server is gone. The parent then
takes no more agents, and ends once those it has are gone, and all trainings that it forked: it alone learns how they
end.
"""

from __future__ import annotations

import argparse
import logging
import os
import select
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import structlog

from rpc.collector import spare_what_is_there
from rpc.logs import configure_logs
from trainer.adapter import PreloadsTraining
from trainer.loading import load_adapter
from trainer.runs.folder import RunFolder
from trainer.runs.processes import ProcessIdentity
from trainer.runs.training_environment import THREAD_VARIABLES
from trainer.runs.warm.child import become_training
from trainer.runs.warm.messages import MAX_MESSAGE_BYTES, TrainingRequest, send

_STANDARD_FILES = 3

logger = structlog.get_logger()


@dataclass
class _Training:
    """A training process; ``agent`` is None once nobody waits to hear how it ends."""

    folder: RunFolder
    identity: ProcessIdentity
    ending: int
    agent: socket.socket | None


class WarmParent:
    """Forks trainings and waits for them. ``imported`` are variables that imports put into the environment."""

    def __init__(self, control: socket.socket, imported: Mapping[str, str]) -> None:
        self._control = control
        self._imported = imported
        self._selector = selectors.DefaultSelector()
        self._trainings: dict[int, _Training] = {}

    def serve(self) -> None:
        """Work until the trainer server, all agents and all trainings are gone."""
        self._listen(self._control, self._admit)
        while self._selector.get_map():
            for key, _ in self._selector.select():
                key.data()

    def _listen(self, source: socket.socket | int, call: Callable[[], None]) -> None:
        self._selector.register(source, selectors.EVENT_READ, call)

    def _admit(self) -> None:
        """Take an agent that the server introduces."""
        data, files, _, _ = _receive(self._control, 1)
        if not data:
            self._close(self._control)
            return
        for file in files:
            agent = socket.socket(fileno=file)
            self._listen(agent, partial(self._hear, agent))
            self._tell(agent, {"ready": True})

    def _hear(self, agent: socket.socket) -> None:
        """Fork what an agent asks for."""
        data, files, _, _ = _receive(agent, _STANDARD_FILES)
        if not data:
            for training in self._trainings.values():
                if training.agent is agent:
                    training.agent = None
            self._close(agent)
            return
        try:
            request = TrainingRequest.parse(data)
            refusal = _refusal(request)
            if not refusal:
                self._start(agent, request, files)
        except OSError as error:
            refusal = f"it cannot fork: {error}"
        finally:
            for file in files:
                os.close(file)
        if refusal:
            logger.warning("training refused", run_folder=request.run_folder, because=refusal)
            self._tell(agent, {"refused": refusal})

    def _start(self, agent: socket.socket, request: TrainingRequest, files: list[int]) -> None:
        pid = os.fork()
        if pid == 0:
            become_training(request, files, self._imported, self._leave_to_parent)
        try:
            # Here and in the child: whoever comes first, the group is there for both.
            os.setpgid(pid, pid)
            identity, ending = ProcessIdentity.of(pid), os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        self._trainings[pid] = _Training(RunFolder(Path(request.run_folder)), identity, ending, agent)
        self._listen(ending, partial(self._reap, pid))
        logger.info("training forked", run_folder=request.run_folder, pid=pid)
        self._tell(agent, {"pid": identity.pid, "started": identity.started})

    def _reap(self, pid: int) -> None:
        """Say how a training ended: first in its run folder, which outlives this process."""
        # While nobody has waited for it, no other process group can have its number: its workers can be killed.
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        os.killpg(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        training = self._trainings.pop(pid)
        self._close(training.ending)
        returncode = os.waitstatus_to_exitcode(status)
        logger.info("training ended", run_folder=str(training.folder.path), pid=pid, returncode=returncode)
        try:
            # Another process trains where the agent could not wait for this one.
            if training.folder.training_process() == training.identity:
                training.folder.record_exit(returncode)
        except OSError:
            logger.exception("the exit cannot be recorded", run_folder=str(training.folder.path))
        if training.agent is not None:
            self._tell(training.agent, {"returncode": returncode})

    def _tell(self, agent: socket.socket, message: Mapping[str, object]) -> None:
        try:
            send(agent, message)
        except OSError as error:
            # Its end of the socket tells that it is gone, if it is; else it looks after its training by itself.
            logger.warning("an agent was not reached", message=message, error=str(error))

    def _leave_to_parent(self) -> None:
        """Close, in a child, all that belongs to this process."""
        for key in list(self._selector.get_map().values()):
            self._close_file(key.fileobj)
        self._selector.close()

    def _close(self, source: socket.socket | int) -> None:
        self._selector.unregister(source)
        self._close_file(source)

    def _close_file(self, source: object) -> None:
        if isinstance(source, socket.socket):
            source.close()
        elif isinstance(source, int):
            os.close(source)


def _receive(connection: socket.socket, files: int) -> tuple[bytes, list[int], int, object]:
    try:
        return socket.recv_fds(connection, MAX_MESSAGE_BYTES, files)
    except ConnectionResetError:  # it died with something unread
        return b"", [], 0, None


def _refusal(request: TrainingRequest) -> str:
    """Why a training cannot be forked here; empty when it can. Libraries read these variables when they are loaded."""
    differing = [name for name in THREAD_VARIABLES if request.environment.get(name) != os.environ.get(name)]
    return f"this process was started with another {', '.join(differing)}" if differing else ""


def _end_with_server(control: socket.socket) -> Callable[[], None]:
    """End the process as soon as the server is gone: importing takes seconds, and then would be for nobody.

    The watch is a thread; the call returned ends it, since no thread may be there when a fork comes.
    """
    stopped, stop = os.pipe()

    def watch() -> None:
        poller = select.poll()
        poller.register(control, 0)  # its end is always told
        poller.register(stopped, select.POLLIN)
        if any(file == control.fileno() for file, _ in poller.poll()):
            os._exit(0)

    thread = threading.Thread(target=watch, name="server-watch", daemon=True)
    thread.start()

    def end() -> None:
        os.close(stop)
        thread.join()
        os.close(stopped)

    return end


def _preload(adapter_path: str) -> dict[str, str]:
    """Import what trainings import; gives what that changed in the environment, as it would in a fresh process."""
    before = dict(os.environ)
    adapter = load_adapter(adapter_path, None)
    if isinstance(adapter, PreloadsTraining):
        adapter.preload_training()
    return {name: value for name, value in os.environ.items() if before.get(name) != value}


def main(arguments: list[str]) -> int:
    """Be the warm parent of an adapter; 1 when it cannot be one."""
    parser = argparse.ArgumentParser(prog="python -m trainer.runs.warm.parent")
    parser.add_argument("adapter", help="module:Class")
    parser.add_argument("--control", type=int, required=True, help="descriptor of a socket to the trainer server")
    parser.add_argument("--room", help="only makes the command line longer: children write theirs over it")
    options = parser.parse_args(arguments)
    configure_logs("info")
    # Libraries say to their trainings what they would say in any other.
    logging.getLogger().handlers.clear()
    control = socket.socket(fileno=options.control)
    control.set_inheritable(False)
    began = time.monotonic()
    stop_watching = _end_with_server(control)
    imported = _preload(options.adapter)
    stop_watching()
    others = [thread.name for thread in threading.enumerate() if thread is not threading.current_thread()]
    if others:
        # A fork would take their locks along, but not them.
        logger.error("importing started threads: every training gets an interpreter of its own", threads=others)
        return 1
    spare_what_is_there()
    seconds, memory = time.monotonic() - began, psutil.Process().memory_info().rss
    logger.info("ready", adapter=options.adapter, seconds=round(seconds, 2), memory_bytes=memory)
    WarmParent(control, imported).serve()
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    # Native libraries may hang or crash while they are torn down.
    os._exit(code)
