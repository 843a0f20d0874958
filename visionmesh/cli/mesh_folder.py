"""The data folder of an embedded mesh: its lock, its ports, its secrets, and where things lie in it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

HOST = "127.0.0.1"


class MeshError(Exception):
    """An embedded mesh cannot be started; the message says why and what to do."""


class MeshFolder:
    """One data folder, locked by one process at a time.

    Holds ``token`` (of the user ``owner``), ``mesh-token``, ``mesh.json`` (ports), ``run/`` (addresses and process
    ids), ``logs/``, the database and the object store.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.token_file = self.root / "token"
        self.database_file = self.root / "visionmesh.db"
        self.objects = self.root / "objects"
        self._lock: IO[str] | None = None

    def lock(self) -> None:
        """Make the folder and keep every other mesh out of it. Raises ``MeshError`` when one is in it."""
        for folder in (self.root, self.root / "run", self.root / "logs"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (self.root / "up.lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise MeshError(
                f"another mesh runs in {self.root} (process {holder}); stop it, or choose another --data-folder"
            ) from error
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def unlock(self) -> None:
        """Let other meshes in."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def address_file(self, part: str) -> Path:
        """Where a part writes its address once it serves."""
        return self.root / "run" / f"{part}.json"

    def pid_file(self, part: str) -> Path:
        """Where the process id of a part is kept."""
        return self.root / "run" / f"{part}.pid"

    def log_file(self, part: str) -> Path:
        """Where the output of a part goes."""
        return self.root / "logs" / f"{part}.log"

    def ports(self, parts: Sequence[str], wait_seconds: float = 0.0) -> dict[str, int]:
        """A port for each part: those used before while they are free, so that run agents which outlived their mesh
        find its gateway again; those used before are waited for ``wait_seconds``."""
        file = self.root / "mesh.json"
        try:
            known: dict[str, int] = json.loads(file.read_text(encoding="utf-8"))["ports"]
        except FileNotFoundError:
            known = {}
        except (ValueError, KeyError, TypeError) as error:
            raise MeshError(f"{file} is damaged ({error}); delete it, and new ports are chosen") from error
        chosen: dict[str, int] = {}
        for part in parts:
            port = known.get(part, 0)
            taken = not port or port in chosen.values() or not port_is_free(port, wait_seconds)
            chosen[part] = free_port(chosen.values()) if taken else port
        if chosen != known:
            _replace(file, json.dumps({"ports": chosen}, indent=2) + "\n")
        return chosen

    def mesh_token(self) -> str:
        """The secret that gateway and trainers share, made at the first start and readable by the owner alone."""
        file = self.root / "mesh-token"
        if not file.exists():
            _replace(file, secrets.token_urlsafe(32) + "\n")
        return file.read_text(encoding="utf-8").strip()


def port_is_free(port: int, wait_seconds: float = 0.0) -> bool:
    """Whether a server could listen on ``port`` now, or within ``wait_seconds``."""
    deadline = time.monotonic() + wait_seconds
    while not _can_bind(port):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True


def _can_bind(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a connection that just ended does not count. SO_REUSEPORT would join another server.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port(apart_from: Iterable[int] = ()) -> int:
    """A port that is free now and none of those given."""
    taken = set(apart_from)
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((HOST, 0))
            port: int = probe.getsockname()[1]
        if port not in taken:
            return port


def _replace(file: Path, text: str) -> None:
    part = file.with_name(file.name + ".part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as writer:
        writer.write(text)
    part.replace(file)
