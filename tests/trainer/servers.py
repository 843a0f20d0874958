"""Real trainer servers as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from storage.objects.local import LocalObjectStore
from visionmesh.errors import VisionMeshError, from_rpc
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import common_pb2, training_pb2

ROOT = Path(__file__).parents[2]
TOKEN = "a mesh token for tests"
RUN_TOKEN = "the-token-of-a-run"


@dataclass
class TrainerProcess:
    """A trainer server that serves at ``address``; ``store`` is its object store."""

    process: subprocess.Popen[str]
    address: str
    store: LocalObjectStore
    log: Path

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Return the environment of a server that lives under ``folder``."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("VISIONMESH_")}
    given = {
        "listen_address": "127.0.0.1:0",
        "address_file": str(folder / "address.json"),
        "data_folder": str(folder / "data"),
        "object_store": str(folder / "store"),
        "mesh_token": TOKEN,
        "mesh_target": "127.0.0.1:1",
        **settings,
    }
    # Nothing outside is asked for weights.
    return inherited | {"HF_HUB_OFFLINE": "1"} | {f"VISIONMESH_{name.upper()}": text for name, text in given.items()}


def run_to_end(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Start a server that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "trainer_timm", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@contextmanager
def running_trainer(folder: Path, **settings: str) -> Iterator[TrainerProcess]:
    """Start a server, wait until it serves, and end it when the context is left."""
    store, log = LocalObjectStore(folder / "store"), folder / "trainer.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "trainer_timm"],
            cwd=ROOT,
            env=environment(folder, **settings),
            stdout=output,
            stderr=output,
            text=True,
        )
    try:
        yield TrainerProcess(process, _address(process, folder / "address.json", log), store, log)
    finally:
        process.kill()
        process.wait()


def _address(process: subprocess.Popen[str], file: Path, log: Path) -> str:
    deadline = time.monotonic() + 30
    while not file.exists():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    return str(json.loads(file.read_text())["address"])


async def refusal(call: Awaitable[object]) -> VisionMeshError:
    """Return the error of a call that has to fail."""
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return from_rpc(caught.value)


def run_spec(run_id: str) -> run_pb2.RunSpec:
    """A run of a dataset that does not exist, for a gateway that does not either: its agent stays, waiting."""
    return run_pb2.RunSpec(
        run_id=run_id,
        job_id="job",
        attempt=1,
        project_id="project",
        model_name="test_resnet",
        task_type=common_pb2.TASK_TYPE_IMAGE_CLASSIFICATION,
        dataset_id="dataset",
        manifest_digest="0" * 64,
        epochs=1,
        batch_size=2,
        learning_rate=0.001,
        image_size=32,
        primary_metric="accuracy",
        primary_metric_mode=training_pb2.METRIC_MODE_MAX,
    )
