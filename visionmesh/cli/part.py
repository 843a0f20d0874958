"""One server process of an embedded mesh."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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
            pid = int(self._folder.pid_file(self.name).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return False
        if not self._is_ours(pid):
            return False
        # SIGTERM would ask a trainer to stop its trainings; killed, it leaves them to its successor.
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + _LEFTOVER_SECONDS
        while _shown(pid, "stat")[:1] not in ("", "Z") and time.monotonic() < deadline:
            time.sleep(0.05)
        return True

    def _is_ours(self, pid: int) -> bool:
        return _shown(pid, "args").endswith(f"-X {_MARK}={self._folder.root} -m {self.name}")


def _shown(pid: int, what: str) -> str:
    """What ``ps`` shows of a process; empty when there is none."""
    command = ["ps", "-ww", "-p", str(pid), "-o", f"{what}="]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
