"""Training a detector through the mesh, against ``yolo train`` with the same model, data, arguments and threads."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from benchmarks.measure import Options, Report, Series, in_turns, main, ratio
from benchmarks.mesh import mesh_with, train, upload
from benchmarks.pictures import write_scenes
from benchmarks.worker import HOME, environment, thread_variables
from trainer_yolo.fields import ARGUMENTS
from visionmesh.client import Client
from visionmesh.v1 import dataset_pb2, event_pb2, training_pb2

MOST = 1.03
MODEL = "yolo11n"
BATCH_SIZE = 16
LEARNING_RATE = 2e-3
SEED = 1


@dataclass(frozen=True)
class Work:
    """What both sides do."""

    image_size: int
    epochs: int
    train_images: int
    val_images: int

    @classmethod
    def of(cls, options: Options) -> Work:
        return cls(64, 3, 32, 8) if options.quick else cls(160, 5, 200, 40)


def measure(options: Options) -> Sequence[Report]:
    work = Work.of(options)
    threads = {"VISIONMESH_THREADS_PER_RUN": str(options.threads)}
    with tempfile.TemporaryDirectory(prefix="visionmesh-bench-") as root:
        folder = Path(root) / "scenes"
        write_scenes(folder, {"train": work.train_images, "val": work.val_images})
        with mesh_with(Path(root) / "mesh", threads) as client:
            spec = _spec(upload(client, folder, dataset_pb2.DATASET_FORMAT_YOLO), work)
            config = json_format.MessageToDict(client.create_job(spec, validate_only=True).advanced_config)
            arguments = _arguments(folder, Path(root) / "bare", work, config)
            sides = {
                "yolo train": lambda: _script(arguments, Path(root), options.threads),
                "mesh": lambda: _mesh(client, spec),
            }
            found = in_turns(options.runs, sides)
    seconds = {
        name: Series(name, "s/epoch", [(times[-1] - times[1]) / (work.epochs - 1) for times, _ in runs])
        for name, runs in found.items()
    }
    reached = ", ".join(f"{name} {runs[-1][1]:.3f}" for name, runs in found.items())
    return [
        Report(
            "Training of a detector",
            f"{MODEL} on {work.train_images} scenes of digits at {work.image_size} px (validated on "
            f"{work.val_images}), batch {BATCH_SIZE}, ultralytics' own trainer with all of the mesh's arguments, on "
            f"{options.threads} threads; epochs 2 to {work.epochs}, from the end of the first to that of the last, so "
            "that validation, metrics and checkpoints count, and the start does not. Each side writes its best and "
            "last checkpoint with optimiser as it does: ultralytics two files in half precision, the mesh what it "
            "needs to resume exactly, in full precision, which it also publishes. Times are those that the training "
            "processes stamp. The idle mesh stays up while the script runs.",
            [*seconds.values()],
            [ratio("mesh / yolo train", seconds["mesh"], seconds["yolo train"], MOST, at_most=True)],
            {"mAP50 after the last epoch": reached},
        )
    ]


Run = tuple[list[float], float]
"""When training began and each epoch ended, in seconds, and the last mAP50."""


def _spec(dataset_id: str, work: Work) -> training_pb2.TrainingJobSpec:
    return training_pb2.TrainingJobSpec(
        experiment_name="a detector",
        framework="yolo",
        model_name=MODEL,
        dataset_id=dataset_id,
        epochs=work.epochs,
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        image_size=work.image_size,
        seed=SEED,
    )


def _arguments(folder: Path, output: Path, work: Work, config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``yolo train``, of which the mesh's settings are other names."""
    settings = {ARGUMENTS[name]: _plain(value) for name, value in config.items() if name in ARGUMENTS}
    return settings | {
        "data": str(folder / "data.yaml"),
        "epochs": work.epochs,
        "batch": BATCH_SIZE,
        "imgsz": work.image_size,
        "lr0": LEARNING_RATE,
        "seed": SEED,
        "device": "cpu",
        # On a CPU neither side reads in workers or computes in mixed precision.
        "workers": 0,
        "amp": False,
        "plots": False,
        "verbose": False,
        "pretrained": False,
        "project": str(output),
        "name": "run",
        "exist_ok": True,
    }


def _plain(value: Any) -> Any:
    """A number of JSON as ultralytics wants it: whole ones as integers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _script(arguments: Mapping[str, Any], output: Path, threads: int) -> Run:
    settings = {"model": MODEL, "threads": threads, "output": str(output), "arguments": arguments}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.yolo_script", json.dumps(settings)],
        cwd=HOME,
        env=environment(thread_variables(threads)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"yolo train failed:\n{done.stderr[-2000:]}")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    times = [line["time"] for line in told]
    # It validates its best checkpoint once more at the end.
    return times[: 1 + arguments["epochs"]], told[-1]["map50"]


def _mesh(client: Client, spec: training_pb2.TrainingJobSpec) -> Run:
    events = train(client, spec, [event_pb2.EVENT_KIND_BEGAN, event_pb2.EVENT_KIND_METRIC])
    times = [event.time.ToNanoseconds() / 1e9 for event in events]
    return times, events[-1].metric.extra_metrics["mAP50"]


if __name__ == "__main__":
    main(__doc__ or "", measure)
