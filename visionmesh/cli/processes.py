"""A whole mesh on this machine: gateway and trainers as processes from a checkout, under one data folder."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc

import visionmesh
from visionmesh.cli.mesh_folder import HOST, MeshError, MeshFolder, port_is_free
from visionmesh.cli.part import Part, PartSpec
from visionmesh.cli.supervision import Supervisor, end_parts
from visionmesh.client import Client, VisionMeshError

__all__ = ["EmbeddedMesh", "MeshError", "find_checkout"]

GATEWAY = "gateway"
TRAINERS = ("trainer_timm", "trainer_yolo")
# Trainers finish the batch, publish the checkpoint and say so; only then may the gateway go.
_TRAINER_END_SECONDS = 120.0
_GATEWAY_END_SECONDS = 30.0
_PROBE_SECONDS = 0.2


def find_checkout(home: Path | None = None) -> Path:
    """The checkout that holds the servers: ``home``, ``VISIONMESH_HOME``, the current folder or one above it, or where
    this package lies. Raises ``MeshError`` when there is none."""
    named = home or (Path(os.environ["VISIONMESH_HOME"]) if os.environ.get("VISIONMESH_HOME") else None)
    if named is not None:
        candidates = [named.resolve()]
    else:
        here = Path.cwd()
        candidates = [here, *here.parents, Path(visionmesh.__file__).resolve().parents[1]]
    for folder in candidates:
        if all((folder / module / "__main__.py").is_file() for module in (GATEWAY, *TRAINERS)):
            return folder
    where = str(candidates[0]) if named is not None else f"{candidates[0]} or above"
    raise MeshError(
        f"no checkout of VisionMesh in {where}: the servers run from one; go there, or name it with --home or "
        "VISIONMESH_HOME"
    )


class EmbeddedMesh:
    """Gateway and trainers on this machine, by default with SQLite and a local object store.

        with EmbeddedMesh(Path("visionmesh-data"), port=0) as mesh:
            client = Client(mesh.address, mesh.token)

    ``address`` and ``token`` are there once ``start`` has returned. Data stays in ``data_folder``.
    """

    def __init__(
        self,
        data_folder: Path,
        port: int = 50051,
        home: Path | None = None,
        *,
        database_url: str = "",
        object_store: str = "",
        environment: Mapping[str, str] | None = None,
        trainers: Sequence[str] = TRAINERS,
        on_message: Callable[[str], None] = lambda message: None,
        start_seconds: float = 180.0,
    ) -> None:
        """``port`` 0 takes any free one; ``home`` is the checkout (see ``find_checkout``); ``database_url`` and
        ``object_store`` take the place of those in the folder; ``environment`` holds more variables for every part;
        ``trainers`` are the modules of the checkout to run; ``on_message`` is told, from another thread too, when a
        part dies, comes back or has to be killed."""
        self.folder = MeshFolder(data_folder)
        self.address = ""
        self.token = ""
        self._port = port
        self._home = home
        self._database_url = database_url or f"sqlite:///{self.folder.database_file}"
        self._object_store = object_store or str(self.folder.objects)
        self._environment = dict(environment or {})
        self._modules = tuple(trainers)
        self._tell = on_message
        self._start_seconds = start_seconds
        self._stopping = threading.Event()
        self._killing = threading.Event()
        self._gateway: Part | None = None
        self._trainers: list[Part] = []
        self._supervisor: Supervisor | None = None

    @property
    def token_file(self) -> Path:
        """File with the token of the user ``owner``."""
        return self.folder.token_file

    def start(self) -> None:
        """Start everything and wait until a job could be trained. Raises ``MeshError``, leaving nothing behind."""
        home = find_checkout(self._home)
        self.folder.lock()
        try:
            self._start_parts(home)
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def request_stop(self) -> None:
        """Let a ``start`` under way end with ``MeshError``; may be called from a signal handler."""
        self._stopping.set()

    def kill(self) -> None:
        """Let a ``stop`` under way, or the next, wait for nothing; may be called from a signal handler."""
        self._stopping.set()
        self._killing.set()

    def stop(self) -> None:
        """End the trainers, whose trainings stop at the next batch and can be resumed, then the gateway."""
        self._stopping.set()
        if self._supervisor is not None:
            self._supervisor.end()
        end_parts(self._trainers, _TRAINER_END_SECONDS, self._killing, self._tell)
        if self._gateway is not None:
            end_parts([self._gateway], _GATEWAY_END_SECONDS, self._killing, self._tell)
        self.folder.unlock()

    def pids(self) -> dict[str, int]:
        """Process ids by part."""
        return {part.name: part.pid for part in self._parts() if part.pid is not None}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _parts(self) -> list[Part]:
        return [*([self._gateway] if self._gateway else []), *self._trainers]

    def _start_parts(self, home: Path) -> None:
        folder = self.folder
        wait_seconds = 0.0
        for module in (GATEWAY, *self._modules):
            if Part(PartSpec(module, home, {}), folder).end_leftover():
                self._tell(f"ended the {module} of an earlier mesh that was killed")
                # The system takes a moment to give its port back.
                wait_seconds = 5.0
        if self._port and not port_is_free(self._port, wait_seconds):
            raise MeshError(
                f"port {self._port} of {HOST} is in use: stop what listens there, or choose another with --port "
                "(0 takes any)"
            )
        ports = folder.ports(("mesh", *self._modules), wait_seconds)
        mesh_address = f"{HOST}:{ports['mesh']}"
        trainer_addresses = {module: f"{HOST}:{ports[module]}" for module in self._modules}
        shared = {
            **self._environment,
            "VISIONMESH_MESH_TOKEN": folder.mesh_token(),
            "VISIONMESH_OBJECT_STORE": self._object_store,
            # What the servers import lies in the checkout, wherever this package was installed.
            "PYTHONPATH": os.pathsep.join(filter(None, (str(home), os.environ.get("PYTHONPATH")))),
        }
        gateway = {
            "VISIONMESH_DATABASE_URL": self._database_url,
            "VISIONMESH_TRAINER_ADDRESSES": json.dumps(list(trainer_addresses.values())),
            "VISIONMESH_PUBLIC_ADDRESS": f"{HOST}:{self._port}",
            "VISIONMESH_MESH_ADDRESS": mesh_address,
            "VISIONMESH_TOKEN_FILE": str(folder.token_file),
            "VISIONMESH_ADDRESS_FILE": str(folder.address_file(GATEWAY)),
        }
        self._gateway = Part(PartSpec(GATEWAY, home, {**shared, **gateway}), folder)
        for module, address in trainer_addresses.items():
            trainer = {
                "VISIONMESH_LISTEN_ADDRESS": address,
                "VISIONMESH_ADDRESS_FILE": str(folder.address_file(module)),
                "VISIONMESH_DATA_FOLDER": str(folder.root / module),
                "VISIONMESH_MESH_TARGET": mesh_address,
                "VISIONMESH_STOP_RUNS_ON_EXIT": "true",
            }
            self._trainers.append(Part(PartSpec(module, home, {**shared, **trainer}), folder))
        for part in self._parts():
            part.start()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._start_seconds
        missing = "the address of the gateway"
        while time.monotonic() < deadline:
            if self._stopping.wait(_PROBE_SECONDS):
                raise MeshError("stopped before the mesh was ready")
            for part in self._parts():
                if not part.running():
                    raise MeshError(
                        f"{part.name} ended with exit code {part.exit_code()} while starting; the end of "
                        f"{part.log_file}:\n{part.log_tail()}"
                    )
            missing = self._missing()
            if not missing:
                self._watch_over()
                return
        raise MeshError(
            f"the mesh was not ready in {self._start_seconds:g} s: {missing}; see {self.folder.root / 'logs'}"
        )

    def _missing(self) -> str:
        """What a mesh that could train still lacks; empty when nothing."""
        for part in self._parts():
            if part.address() is None:
                return f"{part.name} does not serve yet"
        address = (self._gateway.address() if self._gateway else None) or {}
        self.address = address["public"]
        if not self.folder.token_file.exists():
            return "the gateway has not written its token file yet"
        self.token = self.folder.token_file.read_text(encoding="utf-8").strip()
        try:
            with Client(self.address, self.token, timeout=5.0) as client:
                answer = client.frameworks()
        except VisionMeshError as error:
            if error.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                return f"the gateway does not answer yet ({error.message})"
            raise MeshError(f"the gateway refuses its own token file: {error}") from error
        if answer.problems:
            return f"the gateway does not reach {answer.problems[0].address}: {answer.problems[0].message}"
        healthy = sum(framework.healthy_trainers for framework in answer.frameworks)
        return "" if healthy >= len(self._modules) else "the gateway does not reach every trainer yet"

    def _watch_over(self) -> None:
        if self._gateway is not None:
            # A gateway that is started again keeps its address, also when any port would do at first.
            self._gateway.environment["VISIONMESH_PUBLIC_ADDRESS"] = self.address
        self._supervisor = Supervisor(self._parts(), self._tell)
        self._supervisor.start()
