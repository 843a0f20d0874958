"""One server process of an embedded mesh."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from visionmesh.cli.mesh_folder import MeshFolder

_MARK = "visionmesh-data"
_TAIL_LINES = 15
# A killed process that the system has not removed by then stands in nobody's way.
_LEFTOVER_SECONDS = 10.0


@dataclass(frozen=True)
class PartSpec:
    """What to start: ``python -m module`` in ``home``, with ``environment`` over our own."""

    module: str
    home: Path
    environment: Mapping[str, str]


class Part:
    """A process that can be started again and again."""

    def __init__(self, spec: PartSpec, folder: MeshFolder) -> None:
        self.name = spec.module
        self.environment = dict(spec.environment)
        self._home = spec.home
        self._folder = folder
        self.log_file = folder.log_file(self.name)
        self.address_file = folder.address_file(self.name)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; its output is appended to its log file."""
        self.address_file.unlink(missing_ok=True)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                # The option means nothing to Python: it marks the process, so that a leftover can be told from another.
                [sys.executable, "-X", f"{_MARK}={self._folder.root}", "-m", self.name],
                cwd=self._home,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches us alone: the parts end in order.
                start_new_session=True,
            )
        self._folder.pid_file(self.name).write_text(f"{self._process.pid}\n", encoding="utf-8")

    @property
    def pid(self) -> int | None:
        """Process id; None before the first start."""
        return self._process.pid if self._process else None

    def exit_code(self) -> int | None:
        """How the process ended; None while it runs, minus the signal when it was killed."""
        return self._process.poll() if self._process else None

    def running(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def address(self) -> Mapping[str, str] | None:
        """What the process wrote of its addresses; None before it serves."""
        try:
            addresses: dict[str, str] = json.loads(self.address_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return addresses

    def terminate(self) -> None:
        """Ask the process to end."""
        if self.running() and self._process:
            self._process.terminate()

    def kill(self) -> None:
        """End the process at once, and wait until it has gone."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def forget(self) -> None:
        """The process has ended and is not missed."""
        self._folder.pid_file(self.name).unlink(missing_ok=True)

    def log_tail(self) -> str:
        """The last lines of its log."""
        if not self.log_file.exists():
            return ""
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_TAIL_LINES:])

    def end_leftover(self) -> bool:
        """End the process of an earlier mesh in this folder that was killed; gives whether there was one.

        Trainings under way are not touched: their agents find the gateway again.
        """
        try:
            process = psutil.Process(int(self._folder.pid_file(self.name).read_text(encoding="utf-8")))
            if process.cmdline()[-4:] != ["-X", f"{_MARK}={self._folder.root}", "-m", self.name]:
                return False
            # SIGTERM would ask a trainer to stop its trainings; killed, it leaves them to its successor.
            process.kill()
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
            return False
        psutil.wait_procs([process], timeout=_LEFTOVER_SECONDS)
        return True
