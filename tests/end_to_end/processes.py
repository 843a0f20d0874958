"""The processes of a mesh, found and killed the way an operator, or the kernel, would."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import psutil

from visionmesh.cli.processes import EmbeddedMesh

AGENT = "trainer.runs.agent"
TRAINING = "trainer.runs.process"


def until(happened: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something is true; fails when it does not become so."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def of_runs(mesh: EmbeddedMesh, module: str) -> list[int]:
    """The ids of the agents or training processes of a mesh's runs."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if (
            module in words
            and any(word.startswith(str(mesh.folder.root)) for word in words)
            and process.info["status"] != psutil.STATUS_ZOMBIE
        ):
            found.append(process.pid)
    return found


def kill_part(mesh: EmbeddedMesh, name: str) -> None:
    """SIGKILL a server; the mesh starts it again."""
    before = mesh.pids()[name]
    os.kill(before, signal.SIGKILL)
    until(lambda: mesh.pids().get(name) not in (None, before))
