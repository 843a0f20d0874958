"""A place to run in: an object store with a dataset, a gateway, and a trainer's launcher."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from storage.objects import keys
from storage.objects.digest import sha256_bytes
from storage.objects.local import LocalObjectStore
from storage.objects.manifest import Manifest, ManifestFile, digest
from tests.trainer.counting_adapter import DEFAULTS
from tests.trainer.fake_gateway import PROJECT, RUN_TOKEN, FakeGateway
from trainer.runs.folder import RunFolder
from trainer.runs.launcher import LocalLauncher
from trainer.settings import TrainerSettings
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import common_pb2, training_pb2

ADAPTER = "tests.trainer.counting_adapter:CountingAdapter"
MESH_TOKEN = "mesh-token-of-the-tests"
IMAGES = {"train/cat/1.png": 0, "train/dog/1.png": 1, "val/cat/2.png": 0}


class RunPlace:
    """Everything around a run, under one folder. ``images`` are those of its dataset, by path, with their labels."""

    def __init__(
        self,
        root: Path,
        gateway: FakeGateway,
        adapter: str = ADAPTER,
        images: Mapping[str, tuple[int, bytes]] | None = None,
        class_names: tuple[str, ...] = ("cat", "dog"),
    ) -> None:
        self.root = root
        self.gateway = gateway
        (root / "data").mkdir()
        self.store = LocalObjectStore(root / "store")
        self.manifest_digest = self._put_dataset(images or _fake_images(), class_names)
        self._adapter = adapter
        self._launchers: list[LocalLauncher] = []
        self.launcher = self.new_launcher()

    def new_launcher(self, slots: int | None = 2, adapter: str = "", **changed: Any) -> LocalLauncher:
        """A launcher as a trainer server that starts (again) makes it; ``changed`` are settings of its."""
        settings = TrainerSettings(
            data_folder=self.root / "data",
            object_store=str(self.root / "store"),
            mesh_token=SecretStr(MESH_TOKEN),
            slots=slots,
            threads_per_run=1,
            heartbeat_seconds=0.1,
            log_json=True,
            **{"mesh_target": self.gateway.target, **changed},
        )
        launcher = LocalLauncher(settings, adapter or self._adapter)
        self._launchers.append(launcher)
        return launcher

    def spec(self, run_id: str, *, epochs: int = 2, **config: Any) -> run_pb2.RunSpec:
        """A run; ``config`` names settings of the counting adapter without their prefix."""
        spec = run_pb2.RunSpec(
            run_id=run_id,
            job_id="job",
            attempt=1,
            project_id=PROJECT,
            model_name="abacus",
            task_type=common_pb2.TASK_TYPE_IMAGE_CLASSIFICATION,
            dataset_id="digits",
            manifest_digest=self.manifest_digest,
            epochs=epochs,
            batch_size=2,
            learning_rate=0.1,
            image_size=8,
            primary_metric="accuracy",
            primary_metric_mode=training_pb2.METRIC_MODE_MAX,
        )
        spec.config.update({**DEFAULTS, **{f"count.{name}": value for name, value in config.items()}})
        return spec

    def folder(self, run_id: str) -> RunFolder:
        return RunFolder(self.root / "data" / "runs" / run_id)

    def start(self, run_id: str, *, epochs: int = 2, **config: Any) -> RunFolder:
        return self.launch(self.spec(run_id, epochs=epochs, **config))

    def launch(self, spec: run_pb2.RunSpec, token: str = RUN_TOKEN) -> RunFolder:
        """Start a run as a gateway asks for it; its folder."""
        self.launcher.start(spec, token)
        return self.folder(spec.run_id)

    async def ended(self, run_id: str, seconds: float = 15.0) -> run_pb2.RunEnd:
        """Wait until nothing is left to do for a run and return how it ended."""
        await self.gateway.until(self.folder(run_id).is_ended, seconds)
        assert self.gateway.gaps == []
        end = self.gateway.end(run_id)
        assert end is not None
        assert self.gateway.events[run_id][-1].HasField("end"), "the end is the last event of a run"
        return end

    async def close(self) -> None:
        await asyncio.to_thread(self.launcher.stop_all, 0.0)
        for launcher in self._launchers:
            launcher.close()

    def _put_dataset(self, images: Mapping[str, tuple[int, bytes]], class_names: tuple[str, ...]) -> str:
        files = []
        for path, (label, data) in images.items():
            self.store.put(keys.dataset_file("digits", path), data)
            files.append(ManifestFile(path, len(data), sha256_bytes(data), path.split("/")[0], label))
        manifest = Manifest("digits", "IMAGE_FOLDER", ("IMAGE_CLASSIFICATION",), class_names, tuple(files))
        data = manifest.to_bytes()
        self.store.put(keys.manifest("digits"), data)
        return digest(data)


def _fake_images() -> dict[str, tuple[int, bytes]]:
    """Nobody looks at them."""
    return {path: (label, json.dumps({"path": path}).encode()) for path, label in IMAGES.items()}
