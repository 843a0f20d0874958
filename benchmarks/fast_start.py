"""From StartJob to the first step of the optimiser, with and without the warm parent, against a script."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks.measure import Options, Report, Series, in_turns, main, ratio
from benchmarks.mesh import mesh_with, upload
from benchmarks.pictures import write_digits, write_scenes
from benchmarks.worker import HOME, environment, thread_variables
from visionmesh.client import Client
from visionmesh.v1 import common_pb2, dataset_pb2, event_pb2, training_pb2

SEED = 1
# Not reached: a run is stopped after its first step.
EPOCHS = 100
WARM, FRESH, SCRIPT = "warm parent", "fresh interpreter", "cold script"


@dataclass(frozen=True)
class Rival:
    """A framework, what is trained with it, and the script that does the same."""

    framework: str
    module: str
    script: str
    model: str
    image_size: int
    batch_size: int
    learning_rate: float
    target: float
    task: common_pb2.TaskType
    format: dataset_pb2.DatasetFormat
    images: Path
    settings: Mapping[str, Any]


def measure(options: Options) -> Sequence[Report]:
    with tempfile.TemporaryDirectory(prefix="visionmesh-bench-") as place:
        root = Path(place)
        return [_compare(rival, root / rival.framework, options) for rival in _rivals(root, options)]


def _rivals(root: Path, options: Options) -> list[Rival]:
    digits, scenes = root / "digits", root / "scenes"
    write_digits(digits, 64, 200 if options.quick else 1797)
    train, val = (16, 4) if options.quick else (200, 50)
    write_scenes(scenes, {"train": train, "val": val})
    return [
        Rival(
            framework="timm",
            module="trainer_timm",
            script="benchmarks.timm_script",
            model="resnet10t" if options.quick else "resnet18",
            image_size=64,
            batch_size=32,
            learning_rate=4e-3,
            target=0.2,
            task=common_pb2.TASK_TYPE_IMAGE_CLASSIFICATION,
            format=dataset_pb2.DATASET_FORMAT_DICE,
            images=digits,
            settings={"folder": str(digits), "weight_decay": 0.05, "one_step": True},
        ),
        Rival(
            framework="yolo",
            module="trainer_yolo",
            script="benchmarks.yolo_first_step",
            model="yolo11n",
            image_size=128,
            batch_size=16,
            learning_rate=1e-2,
            target=0.3,
            task=common_pb2.TASK_TYPE_OBJECT_DETECTION,
            format=dataset_pb2.DATASET_FORMAT_YOLO,
            images=scenes,
            settings={"data": str(scenes / "data.yaml")},
        ),
    ]


def _compare(rival: Rival, root: Path, options: Options) -> Report:
    root.mkdir()
    # With a second slot none waits until the one before is cleared away.
    shared = {"VISIONMESH_THREADS_PER_RUN": str(options.threads), "VISIONMESH_SLOTS": "2"}
    with ExitStack() as stack:
        sides: dict[str, Callable[[], float]] = {}
        for side in (WARM, FRESH):
            folder = root / side.replace(" ", "-")
            variables = {**shared, "VISIONMESH_WARM_PARENT": str(side == WARM).lower()}
            client = stack.enter_context(mesh_with(folder, variables, trainers=[rival.module]))
            spec = _spec(rival, upload(client, rival.images, rival.format))
            sides[side] = partial(_through_mesh, client, spec)
            # Both find the dataset in the trainer's cache, and one its parent warm.
            _through_mesh(client, spec)
            if side == WARM:
                memory = _memory_of_parent(folder / rival.module / "warm-parent.log")
        sides[SCRIPT] = partial(_script, rival, root, options.threads)
        found = in_turns(options.runs, sides)
    series = {name: Series(name, "s", values) for name, values in found.items()}
    return Report(
        f"Start of a training: {rival.framework}",
        f"{rival.model} at {rival.image_size} px, batches of {rival.batch_size}, {options.threads} threads each: from "
        "the call of StartJob to the first step of the optimiser, by the time that the training process stamps; the "
        "script from the start of its interpreter, with its files in the system's cache like all others. The mesh has "
        "the dataset in its cache, and starts agent and training process; without the warm parent the latter imports "
        "the framework, as the script does. Both idle meshes stay up throughout.",
        [*series.values()],
        [
            ratio("warm parent / cold script", series[WARM], series[SCRIPT], rival.target, at_most=True),
            ratio("fresh interpreter / cold script", series[FRESH], series[SCRIPT]),
        ],
        {"memory of the warm parent": memory},
    )


def _spec(rival: Rival, dataset_id: str) -> training_pb2.TrainingJobSpec:
    return training_pb2.TrainingJobSpec(
        experiment_name="fast start",
        framework=rival.framework,
        model_name=rival.model,
        task_type=rival.task,
        dataset_id=dataset_id,
        epochs=EPOCHS,
        batch_size=rival.batch_size,
        learning_rate=rival.learning_rate,
        image_size=rival.image_size,
        seed=SEED,
    )


def _through_mesh(client: Client, spec: training_pb2.TrainingJobSpec) -> float:
    job_id = client.create_job(spec).id
    began = time.time()
    client.start_job(job_id)
    # The first batch is told as soon as it is learned from.
    first = next(client.watch_job(job_id, kinds=[event_pb2.EVENT_KIND_PROGRESS]))
    assert first.progress.step == 1, first
    client.stop_job(job_id)
    for _ in client.watch_job(job_id, after_sequence=first.sequence):
        pass  # until it is over
    return first.time.ToNanoseconds() / 1e9 - began


def _script(rival: Rival, output: Path, threads: int) -> float:
    settings = {
        "output": str(output),
        "model": rival.model,
        "image_size": rival.image_size,
        "epochs": EPOCHS,
        "batch_size": rival.batch_size,
        "learning_rate": rival.learning_rate,
        "threads": threads,
        "seed": SEED,
        **rival.settings,
    }
    began = time.time()
    done = subprocess.run(
        [sys.executable, "-m", rival.script, json.dumps(settings)],
        cwd=HOME,
        env=environment({**thread_variables(threads), "YOLO_OFFLINE": "1", "YOLO_CONFIG_DIR": str(output)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return float(told[-1]["time"] - began)


def _memory_of_parent(log: Path) -> str:
    [parent] = [
        process
        for process in psutil.process_iter(["cmdline"])
        if "trainer.runs.warm.parent" in (process.info["cmdline"] or [])
        and os.path.realpath(f"/proc/{process.pid}/fd/1") == str(log.resolve())
    ]
    memory = parent.memory_full_info()
    return f"{memory.rss / 1e6:.0f} MB resident, {memory.pss / 1e6:.0f} MB counting what it shares in part"


if __name__ == "__main__":
    main(__doc__ or "", measure)
