"""Predicting through the gateway against the same model in process: the latency that the mesh adds for one client, and
the rate for many clients at once against a loop over eager torch. ResNet-18 at 224 px, JPEGs of 640 × 480.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
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


@dataclass(frozen=True)
class Trained:
    """A job of the mesh, and where the weights that answer for it lie."""

    job_id: str
    weights: Path


def measure(options: Options) -> Sequence[Report]:
    count, seconds = (20, 3.0) if options.quick else (100, 15.0)
    cores = os.cpu_count() or 1
    # As many predictions at once as there are threads, each on one: one client then has one thread on both sides, and
    # many clients have all of them on both.
    variables = {
        "VISIONMESH_PREDICTOR_THREADS": str(cores),
        "VISIONMESH_THREADS_PER_RUN": str(options.threads),
    }
    with tempfile.TemporaryDirectory(prefix="visionmesh-bench-") as root, ExitStack() as open_:
        folder = Path(root)
        client = open_.enter_context(mesh_with(folder / "mesh", variables))
        trained = _train(client, folder)
        image = folder / "unseen.jpg"
        image.write_bytes(photograph(UNSEEN))
        local = {
            threads: open_.enter_context(
                Worker(
                    "benchmarks.local_prediction",
                    str(trained.weights),
                    str(image),
                    str(threads),
                    variables=thread_variables(threads),
                )
            )
            for threads in {1, options.threads}
        }
        difference_found = _compare_answers(client, trained, image.read_bytes(), local[1])
        data = image.read_bytes()
        latencies = in_turns(
            options.runs,
            {
                "in process": lambda: 1000 * statistics.median(local[1].ask(do="times", count=count)),
                "mesh": lambda: 1000 * statistics.median(_times(client, trained.job_id, data, count)),
            },
        )
        rates = in_turns(
            options.runs,
            {
                "in process": lambda: float(local[options.threads].ask(do="rate", seconds=seconds)),
                "mesh": lambda: _rate(client, trained.job_id, data, seconds),
            },
        )
    one = {name: Series(f"{name}: median latency", "ms", values) for name, values in latencies.items()}
    many = {name: Series(name, "images/s", values) for name, values in rates.items()}
    agreement = {"largest difference of a probability between the sides": f"{difference_found:.1e}"}
    return [
        Report(
            "Prediction: latency for one client",
            f"{MODEL} at {IMAGE_SIZE} px, trained for an epoch through the mesh, a JPEG of 640 × 480; {count} calls a "
            "run one after the other by the blocking client, whole calls from JPEG to labels, on both sides with one "
            "thread of compute for one prediction. In process it is eager torch, with Pillow and timm's transform.",
            [*one.values()],
            [difference("added by the mesh", one["mesh"], one["in process"], MOST_ADDED_MS)],
            agreement,
        ),
        Report(
            f"Prediction: rate of {CLIENTS} clients",
            f"The same model and image. {CLIENTS} threads of one client process call for {seconds:g} s a run, each "
            f"with one call at a time; in process it is a loop, one image after the other on {options.threads} "
            "threads. Clients, gateway and trainer share the processors that the loop has for itself.",
            [*many.values()],
            [ratio("mesh / in process", many["mesh"], many["in process"], LEAST_RATE)],
        ),
    ]


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


def _compare_answers(client: Client, trained: Trained, data: bytes, local: Worker) -> float:
    """Warm both sides up, and make sure that they do the same. Gives the largest difference of a probability."""
    with stage("comparing answers"):
        expected: dict[str, float] = local.ask(do="answer")
        for _ in range(3):
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
