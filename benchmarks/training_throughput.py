"""Training throughput through the mesh, against a bare timm script with the same model, data, settings and threads."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.measure import Options, Report, Series, in_turns, main, ratio
from benchmarks.mesh import mesh_with, train, upload
from benchmarks.pictures import write_digits
from benchmarks.worker import HOME, environment, thread_variables
from visionmesh.calls.registry import to_struct
from visionmesh.client import Client
from visionmesh.v1 import common_pb2, event_pb2, training_pb2

TARGET = 0.97
SEED = 1
LEARNING_RATE = 4e-3
BATCH_SIZE = 32
WEIGHT_DECAY = 0.05
# What the script does, by the names of the mesh's settings; everything else is the settings' defaults.
CONFIG: dict[str, Any] = {
    "optimizer.type": "adamw",
    "optimizer.weight_decay": WEIGHT_DECAY,
    "scheduler.type": "cosine",
    "augmentation.hflip": 0.0,
    "augmentation.random_crop_scale_min": 1.0,
}


@dataclass(frozen=True)
class Work:
    """What both sides do."""

    model: str
    image_size: int
    epochs: int
    images: int

    @classmethod
    def of(cls, options: Options) -> Work:
        return cls("resnet10t", 32, 3, 600) if options.quick else cls("resnet18", 64, 5, 1797)


def measure(options: Options) -> Sequence[Report]:
    work = Work.of(options)
    threads = {"VISIONMESH_THREADS_PER_RUN": str(options.threads)}
    with tempfile.TemporaryDirectory(prefix="visionmesh-bench-") as root:
        folder = Path(root) / "digits"
        train_images, val_images = write_digits(folder, work.image_size, work.images)
        with mesh_with(Path(root) / "mesh", threads) as client:
            dataset_id = upload(client, folder)
            spec = _spec(client, dataset_id, work)
            sides = {
                "bare timm script": lambda: _script(folder, Path(root), work, options.threads),
                "mesh": lambda: _mesh(client, spec),
            }
            found = in_turns(options.runs, sides)
    images = train_images * (work.epochs - 1)
    rates = {
        name: Series(name, "images/s", [images / (times[-1] - times[1]) for times, _ in runs])
        for name, runs in found.items()
    }
    accuracies = {name: f"{runs[-1][1]:.3f}" for name, runs in found.items()}
    return [
        Report(
            "Training throughput",
            f"{work.model} on {train_images:,} digits of {work.image_size} px (validated on {val_images}), batch "
            f"{BATCH_SIZE}, AdamW, cosine, {options.threads} threads each, epochs 2 to {work.epochs}: training images "
            "by the time from the end of the first epoch to that of the last, so that validation, metrics and "
            "checkpoints count, and start and first decoding do not. The script is plain timm; to be as hard to beat "
            "as it can, it too decodes each image once and keeps it. It writes one file of weights and optimiser an "
            "epoch with torch.save, the mesh two of safetensors, which it also publishes. Times are those that the "
            "training processes stamp. The idle mesh stays up while the script runs.",
            [*rates.values()],
            [ratio("mesh / bare", rates["mesh"], rates["bare timm script"], TARGET)],
            {"accuracy after the last epoch": ", ".join(f"{name} {value}" for name, value in accuracies.items())},
        )
    ]


Run = tuple[list[float], float]
"""When training began and each epoch ended, in seconds, and the last accuracy."""


def _script(folder: Path, output: Path, work: Work, threads: int) -> Run:
    settings = {
        "folder": str(folder),
        "output": str(output),
        "model": work.model,
        "image_size": work.image_size,
        "epochs": work.epochs,
        "batch_size": BATCH_SIZE,
        "learning_rate": LEARNING_RATE,
        "weight_decay": WEIGHT_DECAY,
        "threads": threads,
        "seed": SEED,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.timm_script", json.dumps(settings)],
        cwd=HOME,
        env=environment(thread_variables(threads)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return [line["time"] for line in told], told[-1]["accuracy"]


def _spec(client: Client, dataset_id: str, work: Work) -> training_pb2.TrainingJobSpec:
    known = {field.name for field in client.schema("timm", common_pb2.TASK_TYPE_IMAGE_CLASSIFICATION).fields}
    if missing := CONFIG.keys() - known:
        # Both sides would not do the same.
        raise SystemExit(f"the timm trainer no longer has the settings {', '.join(sorted(missing))}")
    return training_pb2.TrainingJobSpec(
        experiment_name="throughput",
        framework="timm",
        model_name=work.model,
        dataset_id=dataset_id,
        epochs=work.epochs,
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        image_size=work.image_size,
        seed=SEED,
        advanced_config=to_struct(CONFIG),
    )


def _mesh(client: Client, spec: training_pb2.TrainingJobSpec) -> Run:
    events = train(client, spec, [event_pb2.EVENT_KIND_BEGAN, event_pb2.EVENT_KIND_METRIC])
    times = [event.time.ToNanoseconds() / 1e9 for event in events]
    assert len(times) == 1 + spec.epochs and all(a < b for a, b in pairwise(times))
    return times, events[-1].metric.accuracy


if __name__ == "__main__":
    main(__doc__ or "", measure)
