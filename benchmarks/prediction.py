"""Predicting through the gateway against the same model in process: the latency that the mesh adds for one client, with
either runtime on both sides, and the rate for many clients at once against a loop over eager torch. ResNet-18 at
224 px, JPEGs of 640 × 480.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Options, Report, Series, difference, in_turns, main, ratio, stage
from benchmarks.mesh import mesh_with, upload
from benchmarks.pictures import photograph, write_photographs
from benchmarks.worker import Worker, thread_variables
from visionmesh.client import Client
from visionmesh.v1 import dataset_pb2, job_state_pb2, training_pb2

MODEL, IMAGE_SIZE = "resnet18", 224
CLIENTS = 16
MOST_ADDED_MS, LEAST_RATE = 3.0, 1.2
CLASSES, PER_CLASS = 3, 10
UNSEEN = 10_000
RUNTIME = "VISIONMESH_PREDICTOR_RUNTIME"
READY_SECONDS = 60.0


@dataclass(frozen=True)
class Trained:
    """A job of the mesh, and where the weights that answer for it lie."""

    job_id: str
    weights: Path


def measure(options: Options) -> Sequence[Report]:
    count, seconds = (20, 3.0) if options.quick else (100, 15.0)
    variables = {
        "VISIONMESH_PREDICTOR_THREADS": str(options.threads),
        "VISIONMESH_THREADS_PER_RUN": str(options.threads),
    }
    with tempfile.TemporaryDirectory(prefix="visionmesh-bench-") as root:
        folder = Path(root)
        image = folder / "unseen.jpg"
        image.write_bytes(photograph(UNSEEN))
        data = image.read_bytes()
        with ExitStack() as open_:
            client = open_.enter_context(mesh_with(folder / "mesh", {**variables, RUNTIME: "torch"}))
            trained = _train(client, folder)
            local = open_.enter_context(_local(trained, image, options.threads))
            apart = _compare_answers(client, trained, data, local, "torch")
            by_torch = _latencies(client, trained, data, local, options.runs, count)
        with ExitStack() as open_:
            client = open_.enter_context(mesh_with(folder / "mesh", {**variables, RUNTIME: "auto"}))
            local = open_.enter_context(_local(trained, image, options.threads))
            apart = max(apart, _compare_answers(client, trained, data, local, "onnxruntime"))
            [exported] = (folder / "mesh").rglob("model.onnx")
            same = open_.enter_context(_local(trained, image, options.threads, exported))
            apart = max(apart, _compare_answers(client, trained, data, same, "onnxruntime"))
            by_onnxruntime = _latencies(client, trained, data, same, options.runs, count)
            rates = in_turns(
                options.runs,
                {
                    "in process": lambda: float(local.ask(do="rate", seconds=seconds)),
                    "mesh": lambda: _rate(client, trained.job_id, data, seconds),
                },
            )
    many = {name: Series(name, "images/s", values) for name, values in rates.items()}
    agreement = {"largest difference of a probability between the sides": f"{apart:.1e}"}
    return [
        _latency_report("ONNX Runtime, the mesh's default", by_onnxruntime, count, options.threads, agreement),
        _latency_report("eager torch", by_torch, count, options.threads, agreement),
        Report(
            f"Prediction: rate of {CLIENTS} clients",
            f"The same model and image, the mesh with its default runtime, ONNX Runtime, on {options.threads} threads. "
            f"{CLIENTS} threads of one client process call for {seconds:g} s a run, each with one call at a time; in "
            f"process it is a loop over eager torch, one image after the other on {options.threads} threads. Clients, "
            "gateway and trainer share the processors that the loop has for itself.",
            [*many.values()],
            [ratio("mesh / in process", many["mesh"], many["in process"], LEAST_RATE)],
        ),
    ]


def _latencies(
    client: Client, trained: Trained, data: bytes, local: Worker, runs: int, count: int
) -> dict[str, list[float]]:
    """The median milliseconds of a call in each run of both sides."""
    return in_turns(
        runs,
        {
            "in process": lambda: 1000 * statistics.median(local.ask(do="times", count=count)),
            "mesh": lambda: 1000 * statistics.median(_times(client, trained.job_id, data, count)),
        },
    )


def _latency_report(
    runtime: str, latencies: Mapping[str, list[float]], count: int, threads: int, agreement: dict[str, str]
) -> Report:
    one = {name: Series(f"{name}: median latency", "ms", values) for name, values in latencies.items()}
    return Report(
        f"Prediction: latency for one client, {runtime}",
        f"{MODEL} at {IMAGE_SIZE} px, trained for an epoch through the mesh, a JPEG of 640 × 480; {count} calls a "
        "run one after the other by the blocking client, whole calls from JPEG to labels. Both sides compute with the "
        f"same runtime on {threads} threads, so that the difference is the mesh's; in process it is Pillow, timm's "
        "transform and the model.",
        [*one.values()],
        [difference("added by the mesh", one["mesh"], one["in process"], MOST_ADDED_MS)],
        agreement,
    )


def _local(trained: Trained, image: Path, threads: int, exported: Path | None = None) -> Worker:
    words = [str(trained.weights), str(image), str(threads), *([str(exported)] if exported else [])]
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
    with stage("training for one epoch"):
        job_id = client.create_job(spec).id
        client.start_job(job_id)
        list(client.watch_job(job_id))
        job = client.get_job(job_id)
    if job.state != job_state_pb2.JOB_STATE_COMPLETED:
        raise RuntimeError(f"the training did not end well: {job.failure}")
    [checkpoint] = [item for item in client.checkpoints(job_id) if item.id == job.best_checkpoint_id]
    return Trained(job_id, folder / "mesh" / "objects" / checkpoint.storage_path / "weights.safetensors")


def _compare_answers(client: Client, trained: Trained, data: bytes, local: Worker, runtime: str) -> float:
    """Warm both sides up, wait until the mesh predicts with ``runtime``, and make sure that both say the same.

    Gives the largest difference of a probability.
    """
    with stage("comparing answers"):
        expected: dict[str, float] = local.ask(do="answer")
        deadline = time.monotonic() + READY_SECONDS
        while True:
            answer = client.predict(data, job_id=trained.job_id)
            if [model.runtime for model in client.loaded_models().models] == [runtime]:
                break
            if time.monotonic() > deadline:
                raise RuntimeError(f"the mesh does not predict with {runtime}; the trainer's log says why")
            time.sleep(0.1)
        answer = client.predict(data, job_id=trained.job_id)
    found = {item.label: item.confidence for item in answer.classifications}
    worst = max(abs(found.get(label, 0.0) - value) for label, value in expected.items())
    if worst > 1e-3:
        raise RuntimeError(f"the sides do not agree: {found} through the mesh, {expected} in process")
    return worst


def _times(client: Client, job_id: str, image: bytes, count: int) -> list[float]:
    times = []
    for _ in range(count):
        began = time.perf_counter()
        client.predict(image, job_id=job_id)
        times.append(time.perf_counter() - began)
    return times


def _rate(client: Client, job_id: str, image: bytes, seconds: float) -> float:
    """Predictions per second of ``CLIENTS`` threads; those that end within the time count."""
    counts = [0] * CLIENTS
    errors: list[BaseException] = []
    began = time.perf_counter()
    ends = began + seconds

    def call(number: int) -> None:
        try:
            while True:
                client.predict(image, job_id=job_id)
                if time.perf_counter() > ends:
                    return
                counts[number] += 1
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return sum(counts) / seconds


if __name__ == "__main__":
    main(__doc__ or "", measure)
