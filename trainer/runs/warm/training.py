"""The agent's side of a training that the warm parent forked."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from contextlib import suppress
from typing import Any, Self

import structlog

from trainer.runs.agent_settings import AgentSettings
from trainer.runs.folder import RunFolder
from trainer.runs.processes import ProcessIdentity
from trainer.runs.training_environment import training_environment
from trainer.runs.warm.messages import GO, MAX_MESSAGE_BYTES, TrainingRequest

# A parent that has only been started imports its framework first, which a fresh interpreter would have to do as well.
READY_SECONDS = 60.0
# A fork takes some ten milliseconds.
FORK_SECONDS = 10.0
# It knows of an end at once.
WORD_SECONDS = 5.0

logger = structlog.get_logger()


class WarmParentUnavailable(Exception):
    """No training was started; the text says why."""


class WarmTraining:
    """A training process that is no child of this one. It leads a process group of its own."""

    def __init__(self, folder: RunFolder, pid: int, parent: socket.socket, life_line: int) -> None:
        self.pid = pid
        self._folder = folder
        self._parent = parent
        # The training's standard input: closed by the kernel when this agent dies, and the training ends itself.
        self._life_line = life_line
        # Whatever its parent does or the clock: this says whether the process lives.
        self._handle = os.pidfd_open(pid)
        self._over = False

    @classmethod
    async def start(cls, parent: socket.socket, folder: RunFolder, settings: AgentSettings) -> Self:
        """Have a training forked that does what ``TrainingChild`` does. Raises WarmParentUnavailable.

        Whatever keeps it from being started, no training runs then, nor will one begin.
        """
        parent.setblocking(False)
        await _answer(parent, "ready", READY_SECONDS)
        folder.work.mkdir(exist_ok=True)
        theirs, ours = os.pipe()
        try:
            with folder.stdout.open("ab") as stdout, folder.stderr.open("ab") as stderr:
                request = TrainingRequest(
                    run_folder=str(folder.path),
                    arguments=[str(folder.path), str(folder.dataset_file)],
                    working_folder=str(folder.work),
                    environment=training_environment(settings.threads, settings.device),
                )
                try:
                    request.send(parent, [theirs, stdout.fileno(), stderr.fileno()])
                except OSError as error:
                    raise WarmParentUnavailable(f"it cannot be asked: {error}") from error
            answer = await _answer(parent, "pid", FORK_SECONDS)
            identity = ProcessIdentity(answer["pid"], answer["started"])
            try:
                training = cls(folder, identity.pid, parent, ours)
            except ProcessLookupError as error:
                raise WarmParentUnavailable("its child died at once") from error
            folder.record_training(identity)
            # It waits for a word, and ends without one: only now that others can find it, it may begin.
            with suppress(BrokenPipeError):
                os.write(ours, GO)
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        return training

    async def wait(self) -> int | None:
        """Wait for its end and return how it ended, negative for a signal; None where nobody can say.

        Workers it left behind are killed.
        """
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._handle, ended.set)
        hearing = asyncio.create_task(_answer(self._parent, "returncode", None))
        ending = asyncio.create_task(ended.wait())
        try:
            await asyncio.wait({hearing, ending}, return_when=asyncio.FIRST_COMPLETED)
            # Its parent has a moment to say how it ended.
            await asyncio.wait({hearing}, timeout=WORD_SECONDS)
            if hearing.done() and hearing.exception() is None:
                returncode: int | None = hearing.result()["returncode"]
            else:
                logger.warning("the training has lost its parent")
                await ending
                returncode = self._folder.exit_code()
                self.kill()
        finally:
            loop.remove_reader(self._handle)
            hearing.cancel()
            ending.cancel()
            await asyncio.gather(hearing, ending, return_exceptions=True)
        self._over = True
        os.close(self._handle)
        os.close(self._life_line)
        self._parent.close()
        return returncode

    def kill(self) -> None:
        """Kill the process and its workers. After its end was waited for, its number may belong to another group."""
        if self._over:
            return
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # none is left


async def _answer(parent: socket.socket, wanted: str, seconds: float | None) -> dict[str, Any]:
    """Read the parent's next message, which has to have that field. Raises WarmParentUnavailable."""
    try:
        async with asyncio.timeout(seconds):
            data = await asyncio.get_running_loop().sock_recv(parent, MAX_MESSAGE_BYTES)
    except TimeoutError as error:
        raise WarmParentUnavailable(f"it said nothing for {seconds:g} s") from error
    except OSError as error:
        raise WarmParentUnavailable(f"it cannot be heard: {error}") from error
    message: dict[str, Any] = json.loads(data) if data else {}
    if wanted not in message:
        raise WarmParentUnavailable(message.get("refused", "it ended"))
    return message
