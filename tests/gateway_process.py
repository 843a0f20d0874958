"""A gateway in a process of its own, which can be killed and comes back under the same address."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from visionmesh.client import Client

_HOME = Path(__file__).resolve().parents[1]
_START_SECONDS = 60.0


class GatewayProcess:
    """``python -m gateway`` with all that it keeps below ``folder``; ``variables`` are more of its settings."""

    def __init__(self, folder: Path, **variables: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = _free_port()
        self._variables = {
            "VISIONMESH_DATABASE_URL": f"sqlite:///{folder / 'visionmesh.db'}",
            "VISIONMESH_OBJECT_STORE": str(folder / "objects"),
            "VISIONMESH_PUBLIC_ADDRESS": f"127.0.0.1:{self.port}",
            "VISIONMESH_MESH_ADDRESS": "127.0.0.1:0",
            "VISIONMESH_MESH_TOKEN": "a-token-of-the-tests",
            "VISIONMESH_TOKEN_FILE": str(folder / "token"),
            "VISIONMESH_ADDRESS_FILE": str(folder / "gateway.json"),
            "VISIONMESH_DRAIN_SECONDS": "1",
            **variables,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def mesh_address(self) -> str:
        return str(json.loads((self.folder / "gateway.json").read_text())["mesh"])

    @property
    def database_url(self) -> str:
        return self._variables["VISIONMESH_DATABASE_URL"]

    @property
    def token(self) -> str:
        return (self.folder / "token").read_text().strip()

    def client(self, port: int | None = None) -> Client:
        """A client of its owner; ``port`` is that of a proxy in between."""
        return Client(f"127.0.0.1:{port or self.port}", self.token)

    def start(self) -> None:
        addresses = self.folder / "gateway.json"
        addresses.unlink(missing_ok=True)
        with (self.folder / "gateway.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway"],
                cwd=_HOME,
                env={**os.environ, **self._variables},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not addresses.exists():
            assert self._process.poll() is None and time.monotonic() < deadline, self.log()
            time.sleep(0.05)
        json.loads(addresses.read_text())

    def kill(self) -> None:
        """SIGKILL: nothing is tidied up."""
        self._end(signal.SIGKILL)

    def log(self) -> str:
        return (self.folder / "gateway.log").read_text()

    @property
    def pid(self) -> int:
        """Its process id, while it runs."""
        assert self._process is not None
        return self._process.pid

    def peak_bytes(self) -> int:
        """The most memory that it ever had, as Linux counts it."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) << 10

    def limit_file_size(self, size_bytes: int | None) -> None:
        """Let no file of it grow beyond so much, as a full disk would; None lifts the limit."""
        assert self._process is not None
        soft = size_bytes if size_bytes is not None else resource.RLIM_INFINITY
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
