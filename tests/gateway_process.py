"""A gateway in a process of its own, which can be killed and comes back under the same address."""

from __future__ import annotations

import json
import re
import resource
from pathlib import Path

from tests.server_process import ServerProcess, free_port
from visionmesh.client import Client


class GatewayProcess(ServerProcess):
    """``python -m gateway`` with all that it keeps below ``folder``; ``variables`` are more of its settings."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.port = free_port()
        settings = {
            "VISIONMESH_DATABASE_URL": f"sqlite:///{folder / 'visionmesh.db'}",
            "VISIONMESH_OBJECT_STORE": str(folder / "objects"),
            "VISIONMESH_PUBLIC_ADDRESS": f"127.0.0.1:{self.port}",
            "VISIONMESH_MESH_ADDRESS": "127.0.0.1:0",
            "VISIONMESH_MESH_TOKEN": "a-token-of-the-tests",
            "VISIONMESH_TOKEN_FILE": str(folder / "token"),
            "VISIONMESH_DRAIN_SECONDS": "1",
        }
        super().__init__("gateway", folder, {**settings, **variables})

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

    def peak_bytes(self) -> int:
        """The most memory that it ever had, as Linux counts it."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) << 10

    def limit_file_size(self, size_bytes: int | None) -> None:
        """Let no file of it grow beyond so much, as a full disk would; None lifts the limit."""
        soft = size_bytes if size_bytes is not None else resource.RLIM_INFINITY
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))
