"""Memory of each trainer server: idle, with one model, and after twenty checkpoints answered, under a small limit."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from benchmarks.measure import Options, Report, Series, in_turns, main, stage
from benchmarks.mesh import running_mesh, train, upload
from benchmarks.pictures import photograph, write_photographs, write_scenes
from visionmesh.cli.processes import EmbeddedMesh
from visionmesh.client import Client
from visionmesh.v1 import checkpoint_pb2, dataset_pb2, training_pb2

CHECKPOINTS = 20
LIMIT_BYTES = 100 << 20
LIMIT = "VISIONMESH_PREDICTOR_MEMORY_BYTES"
SETTLED_SECONDS, LONGEST_SECONDS, SETTLED_BYTES = 3.0, 60.0, 4 << 20


@dataclass(frozen=True)
class Side:
    """A trainer server and what is trained for it."""

    trainer: str
    framework: str
    model: str
    image_size: int


SIDES = (Side("trainer_timm", "timm", "resnet18", 64), Side("trainer_yolo", "yolo", "yolo11n", 64))
STAGES = ("idle", "with one model", f"after {CHECKPOINTS} checkpoints")


def measure(options: Options) -> Sequence[Report]:
    checkpoints = 3 if options.quick else CHECKPOINTS
    threads = str(options.threads)
    variables = {
        "VISIONMESH_PREDICTOR_THREADS": threads,
        "VISIONMESH_THREADS_PER_RUN": threads,
        LIMIT: str(LIMIT_BYTES),
    }
    with tempfile.TemporaryDirectory(prefix="visionmesh-bench-") as root:
        folder = Path(root)
        with running_mesh(folder / "mesh", variables) as (_, client):
            datasets = _datasets(client, folder)
            trained = {side.framework: _train(client, side, datasets[side.framework], checkpoints) for side in SIDES}
        image = photograph(0)
        found = in_turns(
            options.runs,
            {
                side.framework: partial(_grow, folder / "mesh", variables, side, trained[side.framework], image)
                for side in SIDES
            },
        )
    series = [
        Series(f"{framework}, {when}", "MB", [run[place] for run in runs])
        for framework, runs in found.items()
        for place, when in enumerate(STAGES)
    ]
    return [
        Report(
            "Memory of the trainer servers",
            f"Proportional memory (PSS) of a trainer's server and its children, once it has not changed for "
            f"{SETTLED_SECONDS:g} s: framework imported, nothing asked; then after a prediction; then after one with "
            f"each of {checkpoints} checkpoints of a job, which the limit of {LIMIT_BYTES >> 20} MiB for models "
            f"({LIMIT}) does not hold at once. {', '.join(f'{side.framework} is {side.model}' for side in SIDES)}. "
            "A fresh mesh each run; exports to ONNX Runtime are made in the first and read in the others.",
            series,
        )
    ]


def _datasets(client: Client, folder: Path) -> dict[str, str]:
    write_photographs(folder / "photographs", 2, 4)
    write_scenes(folder / "scenes", {"train": 6, "val": 2})
    return {
        "timm": upload(client, folder / "photographs", dataset_pb2.DATASET_FORMAT_IMAGE_FOLDER),
        "yolo": upload(client, folder / "scenes", dataset_pb2.DATASET_FORMAT_YOLO),
    }


def _train(client: Client, side: Side, dataset_id: str, epochs: int) -> list[str]:
    """Train so many epochs and give the checkpoint of each."""
    spec = training_pb2.TrainingJobSpec(
        experiment_name="memory",
        framework=side.framework,
        model_name=side.model,
        dataset_id=dataset_id,
        epochs=epochs,
        batch_size=4,
        image_size=side.image_size,
        seed=1,
        checkpoint_retention=checkpoint_pb2.CheckpointRetention(every_n_epochs=1),
    )
    with stage(f"training {side.model}"):
        job_id = train(client, spec)[0].job_id
    found = [checkpoint.id for checkpoint in client.checkpoints(job_id)]
    if len(found) != epochs:
        raise RuntimeError(f"{len(found)} checkpoints of {epochs} epochs are kept")
    return found


def _grow(
    folder: Path, variables: Mapping[str, str], side: Side, checkpoints: Sequence[str], image: bytes
) -> list[float]:
    """Megabytes of a fresh server at each of the stages."""
    with running_mesh(folder, variables) as (mesh, client):
        next(client.models(framework=side.framework))
        megabytes = [_settled(mesh, side.trainer)]
        for part in (checkpoints[:1], checkpoints[1:]):
            for checkpoint_id in part:
                client.predict(image, checkpoint_id=checkpoint_id)
            megabytes.append(_settled(mesh, side.trainer))
    return megabytes


def _settled(mesh: EmbeddedMesh, trainer: str) -> float:
    """The memory of a part once it no longer changes: frameworks are imported and models exported in the background."""
    deadline = time.monotonic() + LONGEST_SECONDS
    last, since = _bytes(mesh.pids()[trainer]), time.monotonic()
    while time.monotonic() - since < SETTLED_SECONDS and time.monotonic() < deadline:
        time.sleep(0.25)
        found = _bytes(mesh.pids()[trainer])
        if abs(found - last) > SETTLED_BYTES:
            last, since = found, time.monotonic()
    return _bytes(mesh.pids()[trainer]) / 1e6


def _bytes(pid: int) -> int:
    server = psutil.Process(pid)
    return sum(process.memory_full_info().pss for process in (server, *server.children(recursive=True)))


if __name__ == "__main__":
    main(__doc__ or "", measure)
