"""A gateway without trainers, in a process of its own."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.worker import HOME, environment

_START_SECONDS = 60.0
_END_SECONDS = 30.0


class GatewayProcess:
    """``python -m gateway`` on free ports, with all that it keeps below ``folder``, for the length of the block.

    ``address`` is public, ``mesh_address`` for run agents, ``token`` that of the user ``owner``.
    """

    def __init__(self, folder: Path, database_url: str = "", object_store: str = "", **variables: str) -> None:
        """``database_url`` is a SQLite file in the folder by default, ``object_store`` a folder there."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.database_url = database_url or f"sqlite:///{folder / 'visionmesh.db'}"
        self.mesh_token = secrets.token_hex(16)
        self.address = self.mesh_address = self.token = ""
        self._variables = {
            "VISIONMESH_DATABASE_URL": self.database_url,
            "VISIONMESH_OBJECT_STORE": object_store or str(folder / "objects"),
            "VISIONMESH_PUBLIC_ADDRESS": "127.0.0.1:0",
            "VISIONMESH_MESH_ADDRESS": "127.0.0.1:0",
            "VISIONMESH_MESH_TOKEN": self.mesh_token,
            "VISIONMESH_TOKEN_FILE": str(folder / "token"),
            "VISIONMESH_ADDRESS_FILE": str(folder / "gateway.json"),
            # Between two runs an agent may be away for longer than one of a training would.
            "VISIONMESH_LEASE_SECONDS": "3600",
            "VISIONMESH_DRAIN_SECONDS": "1",
            "VISIONMESH_LOG_LEVEL": "warning",
            **variables,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        addresses = self._folder / "gateway.json"
        addresses.unlink(missing_ok=True)
        log_file = self._folder / "gateway.log"
        with log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway"],
                cwd=HOME,
                env=environment(self._variables),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not addresses.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__(None, None, None)
                raise RuntimeError(f"the gateway did not start:\n{log_file.read_text()}")
            time.sleep(0.05)
        found = json.loads(addresses.read_text())
        self.address, self.mesh_address = found["public"], found["mesh"]
        self.token = (self._folder / "token").read_text().strip()
        return self

    def kill(self) -> None:
        """End it with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
