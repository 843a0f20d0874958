"""A server of the mesh in a process of its own, which can be killed, kill itself, and come back."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_HOME = Path(__file__).resolve().parents[1]
_START_SECONDS = 60.0


class ServerProcess:
    """``python -m module`` with its log and its address file in ``folder``; ``variables`` are its settings.

    ``before`` are words of a command that becomes the server, such as one that limits what it may do.
    """

    def __init__(self, module: str, folder: Path, variables: Mapping[str, str], before: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = module.rpartition(".")[2]
        self.folder = folder
        self.log_file = folder / f"{name}.log"
        self._address_file = folder / f"{name}.json"
        self._words = [*before, sys.executable, "-m", module]
        self._variables = {**variables, "VISIONMESH_ADDRESS_FILE": str(self._address_file)}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, **variables: str) -> None:
        """Start it and wait until it serves; ``variables`` are settings of this one start."""
        self.launch(**variables)
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while not self._address_file.exists():
            assert self._process.poll() is None and time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def launch(self, **variables: str) -> None:
        """Start it and wait for nothing: it may be killed before it serves."""
        self._address_file.unlink(missing_ok=True)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._words,
                cwd=_HOME,
                env={**os.environ, **self._variables, **variables},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        """SIGKILL: nothing is tidied up."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        self._end(signal.SIGTERM)

    def wait_until_killed(self, seconds: float = 60.0) -> None:
        """Wait until it was killed, by itself or anyone."""
        assert self._process is not None
        assert self._process.wait(seconds) == -signal.SIGKILL, self.log()
        self._process = None

    def log(self) -> str:
        return self.log_file.read_text()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
