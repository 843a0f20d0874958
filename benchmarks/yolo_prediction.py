"""Detecting through the gateway against ultralytics' own ``predict`` of the same weights in process: the latency that
the mesh adds for one client, and the rate for many clients at once. YOLO11n at 640 px, JPEGs of 640 × 480.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.measure import Options, Report, main
from benchmarks.mesh import mesh_with, upload
from benchmarks.pictures import write_scenes
from benchmarks.predicting import (
    CLIENTS,
    MOST_ADDED_MS,
    RUNTIME,
    Trained,
    compare_answers,
    latencies,
    latency_report,
    rate_report,
    rates,
    trained_once,
)
from benchmarks.worker import Worker, thread_variables
from examples.demo_detection import SETTINGS
from examples.digit_scenes import make_scenes
from visionmesh.calls.registry import to_struct
from visionmesh.client import Client
from visionmesh.v1 import dataset_pb2, inference_pb2, training_pb2

MODEL, IMAGE_SIZE = "yolo11n", 640
WIDTH, HEIGHT, SCENE_SIDE = 640, 480, 160
SCENES, EPOCHS = {"train": 300, "val": 20}, 15
OWN = "ultralytics in process"
TOLERANCE_CONFIDENCE, TOLERANCE_PIXELS = 1e-3, 0.5


def measure(options: Options) -> Sequence[Report]:
    count, seconds = (10, 3.0) if options.quick else (60, 15.0)
    variables = {
        "VISIONMESH_PREDICTOR_THREADS": str(options.threads),
        "VISIONMESH_THREADS_PER_RUN": str(options.threads),
    }
    with tempfile.TemporaryDirectory(prefix="visionmesh-bench-") as root:
        folder, mesh = Path(root), Path(root) / "mesh"
        image = folder / "unseen.jpg"
        data = _many_scenes()
        image.write_bytes(data)
        with ExitStack() as open_:
            client = open_.enter_context(mesh_with(mesh, {**variables, RUNTIME: "torch"}))
            trained = _train(client, folder)
            local = open_.enter_context(_local(trained, image, options.threads))
            apart = compare_answers(client, trained, data, local, "torch", _compare)
            by_torch = latencies(client, trained, data, {OWN: local}, options.runs, count)
        with ExitStack() as open_:
            client = open_.enter_context(mesh_with(mesh, {**variables, RUNTIME: "auto"}))
            local = open_.enter_context(_local(trained, image, options.threads))
            apart = max(apart, compare_answers(client, trained, data, local, "onnxruntime", _compare))
            by_default = latencies(client, trained, data, {OWN: local}, options.runs, count)
            many = rates(client, trained, data, local, options.runs, seconds)
    how = (
        f"{MODEL} at {IMAGE_SIZE} px, a JPEG of 640 × 480, {count} calls a run one after the other by the blocking "
        "client, whole calls from JPEG to boxes; in process it is YOLO(…).predict in torch of the decoded JPEG, with "
        f"ultralytics' own defaults, on {options.threads} threads as in the mesh."
    )
    agreement = {"largest difference of a confidence between the sides": f"{apart:.1e}"}
    return [
        latency_report(
            "Detection: latency for one client",
            f"{how} The mesh computes with its default, ONNX Runtime.",
            by_default,
            agreement,
            {OWN: MOST_ADDED_MS},
        ),
        latency_report(
            "Detection: latency for one client, the mesh too in eager torch",
            f"{how} The mesh computes with torch as well.",
            by_torch,
            agreement,
            {},
        ),
        rate_report(
            f"Detection: rate of {CLIENTS} clients",
            f"The same model and image, the mesh with its default runtime, ONNX Runtime, on {options.threads} threads. "
            f"{CLIENTS} threads of one client process call for {seconds:g} s a run, each with one call at a time; in "
            "process it is a loop over the same predict. Clients, gateway and trainer share the processors that the "
            "loop has for itself.",
            many,
        ),
    ]


def _local(trained: Trained, image: Path, threads: int) -> Worker:
    words = [str(trained.checkpoint), str(image), str(threads)]
    return Worker("benchmarks.local_detection", *words, variables=thread_variables(threads))


def _train(client: Client, folder: Path) -> Trained:
    """Learn on small scenes, and answer at the full size: a scene is as large in pixels as in the image to predict."""
    write_scenes(folder / "scenes", SCENES)
    dataset_id = upload(client, folder / "scenes", dataset_pb2.DATASET_FORMAT_YOLO)
    small = training_pb2.TrainingJobSpec(
        experiment_name="detection",
        framework="yolo",
        model_name=MODEL,
        dataset_id=dataset_id,
        epochs=EPOCHS,
        batch_size=16,
        learning_rate=2e-3,
        image_size=SCENE_SIDE,
        seed=1,
        advanced_config=to_struct(SETTINGS),
    )
    learned = trained_once(client, folder / "mesh", small)
    write_scenes(folder / "few", {"train": 4, "val": 2})
    few = upload(client, folder / "few", dataset_pb2.DATASET_FORMAT_YOLO)
    large = training_pb2.TrainingJobSpec()
    large.MergeFrom(small)
    large.dataset_id, large.image_size, large.epochs, large.batch_size = few, IMAGE_SIZE, 1, 4
    # So little that it stays what it is: with a warm-up its biases would begin with large steps.
    large.learning_rate = 1e-6
    large.advanced_config.update({"scheduler.warmup_epochs": 0})
    return trained_once(client, folder / "mesh", large, warm_start=learned.checkpoint.name)


def _many_scenes() -> bytes:
    """A JPEG of 640 × 480: scenes that were not trained on, side by side."""
    [scenes] = make_scenes([WIDTH // SCENE_SIDE * (HEIGHT // SCENE_SIDE)], np.random.default_rng(9))
    picture = Image.new("RGB", (WIDTH, HEIGHT))
    for place, scene in enumerate(scenes):
        row, column = divmod(place, WIDTH // SCENE_SIDE)
        part = scene.image.resize((SCENE_SIDE, SCENE_SIDE), Image.Resampling.BICUBIC)
        picture.paste(part, (column * SCENE_SIDE, row * SCENE_SIDE))
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=90)
    return encoded.getvalue()


def _compare(answer: inference_pb2.PredictResponse, expected: object) -> float:
    """The largest difference of a confidence. Raises RuntimeError where boxes or confidences are not the same."""
    assert isinstance(expected, list)
    found = [
        [item.confidence, item.box.x_min, item.box.y_min, item.box.x_max, item.box.y_max] for item in answer.detections
    ]
    pairs = list(zip(sorted(found, reverse=True), sorted(expected, reverse=True), strict=False))
    confidences = [abs(ours[0] - theirs[0]) for ours, theirs in pairs]
    pixels = [abs(a - b) for ours, theirs in pairs for a, b in zip(ours[1:], theirs[1:], strict=True)]
    if (
        not found
        or len(found) != len(expected)
        or max(confidences, default=0.0) > TOLERANCE_CONFIDENCE
        or max(pixels, default=0.0) > TOLERANCE_PIXELS
    ):
        raise RuntimeError(f"the sides do not agree: {found} through the mesh, {expected} in process")
    return max(confidences, default=0.0)


if __name__ == "__main__":
    main(__doc__ or "", measure)
