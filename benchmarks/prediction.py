"""Predicting through the gateway against the same model in process: the latency that the mesh adds for one client, and
the rate for many clients at once against a loop over eager torch. ResNet-18 at 224 px, JPEGs of 640 × 480.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.measure import Options, Report, main, stage
from benchmarks.mesh import mesh_with, upload
from benchmarks.pictures import photograph, write_photographs
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
from visionmesh.client import Client
from visionmesh.v1 import dataset_pb2, inference_pb2, training_pb2

MODEL, IMAGE_SIZE = "resnet18", 224
CLASSES, PER_CLASS = 3, 10
UNSEEN = 10_000
TORCH, ONNX_RUNTIME = "eager torch in process", "ONNX Runtime in process"


def measure(options: Options) -> Sequence[Report]:
    count, seconds = (20, 3.0) if options.quick else (100, 15.0)
    variables = {
        "VISIONMESH_PREDICTOR_THREADS": str(options.threads),
        "VISIONMESH_THREADS_PER_RUN": str(options.threads),
    }
    with tempfile.TemporaryDirectory(prefix="visionmesh-bench-") as root:
        folder, mesh = Path(root), Path(root) / "mesh"
        image = folder / "unseen.jpg"
        image.write_bytes(photograph(UNSEEN))
        data = image.read_bytes()
        with ExitStack() as open_:
            client = open_.enter_context(mesh_with(mesh, {**variables, RUNTIME: "torch"}))
            trained = _train(client, folder)
            local = open_.enter_context(_local(trained, image, options.threads))
            apart = compare_answers(client, trained, data, local, "torch", _compare)
            by_torch = latencies(client, trained, data, {TORCH: local}, options.runs, count)
        with ExitStack() as open_:
            client = open_.enter_context(mesh_with(mesh, {**variables, RUNTIME: "auto"}))
            local = open_.enter_context(_local(trained, image, options.threads))
            apart = max(apart, compare_answers(client, trained, data, local, "onnxruntime", _compare))
            [exported] = mesh.rglob("model.onnx")
            same = open_.enter_context(_local(trained, image, options.threads, exported))
            apart = max(apart, compare_answers(client, trained, data, same, "onnxruntime", _compare))
            sides = {TORCH: local, ONNX_RUNTIME: same}
            by_default = latencies(client, trained, data, sides, options.runs, count)
            many = rates(client, trained, data, local, options.runs, seconds)
    how = (
        f"{MODEL} at {IMAGE_SIZE} px, trained for an epoch through the mesh, a JPEG of 640 × 480; the median of "
        f"{count} calls a run, one after the other by the blocking client, whole calls from JPEG to labels, all on "
        f"{options.threads} threads. In process it is Pillow, timm's transform and the model"
    )
    agreement = {"largest difference of a probability between the sides": f"{apart:.1e}"}
    return [
        latency_report(
            "Prediction: latency for one client",
            f"{how}, once in eager torch, as a script has it, and once in ONNX Runtime, which the mesh computes with "
            "by default: that difference is what the way through the mesh costs.",
            by_default,
            agreement,
            {TORCH: MOST_ADDED_MS},
        ),
        latency_report(
            "Prediction: latency for one client, the mesh too in eager torch", f"{how}.", by_torch, agreement, {}
        ),
        rate_report(
            f"Prediction: rate of {CLIENTS} clients",
            f"The same model and image, the mesh with its default runtime, ONNX Runtime, on {options.threads} threads. "
            f"{CLIENTS} threads of one client process call for {seconds:g} s a run, each with one call at a time; in "
            f"process it is a loop over eager torch, one image after the other on {options.threads} threads. Clients, "
            "gateway and trainer share the processors that the loop has for itself.",
            many,
        ),
    ]


def _local(trained: Trained, image: Path, threads: int, exported: Path | None = None) -> Worker:
    weights = trained.checkpoint / "weights.safetensors"
    words = [str(weights), str(image), str(threads), *([str(exported)] if exported else [])]
    return Worker("benchmarks.local_prediction", *words, variables=thread_variables(threads))


def _train(client: Client, folder: Path) -> Trained:
    with stage("making photographs"):
        write_photographs(folder / "photographs", CLASSES, PER_CLASS)
    dataset_id = upload(client, folder / "photographs", dataset_pb2.DATASET_FORMAT_IMAGE_FOLDER)
    spec = training_pb2.TrainingJobSpec(
        experiment_name="prediction",
        framework="timm",
        model_name=MODEL,
        dataset_id=dataset_id,
        epochs=1,
        batch_size=8,
        image_size=IMAGE_SIZE,
        seed=1,
    )
    return trained_once(client, folder / "mesh", spec)


def _compare(answer: inference_pb2.PredictResponse, expected: object) -> float:
    """The largest difference of a probability. Raises RuntimeError above 1e-3."""
    assert isinstance(expected, dict)
    found = {item.label: item.confidence for item in answer.classifications}
    worst = float(max(abs(found.get(label, 0.0) - value) for label, value in expected.items()))
    if worst > 1e-3:
        raise RuntimeError(f"the sides do not agree: {found} through the mesh, {expected} in process")
    return worst


if __name__ == "__main__":
    main(__doc__ or "", measure)
