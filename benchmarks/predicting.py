"""What benchmarks of predictions share: latencies of one client, the rate of many, the same answers on both sides."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.measure import Report, Series, difference, in_turns, ratio, stage
from benchmarks.mesh import train
from benchmarks.worker import Worker
from visionmesh.client import Client
from visionmesh.v1 import inference_pb2, training_pb2

CLIENTS = 16
MOST_ADDED_MS, LEAST_RATE = 3.0, 1.2
RUNTIME = "VISIONMESH_PREDICTOR_RUNTIME"
READY_SECONDS = 60.0


@dataclass(frozen=True)
class Trained:
    """A job of the mesh, and the folder of the checkpoint that answers for it."""

    job_id: str
    checkpoint: Path


# The largest difference between an answer of the mesh and what a worker answered in process; it raises where they
# contradict each other.
Compare = Callable[[inference_pb2.PredictResponse, object], float]


def trained_once(
    client: Client, mesh_folder: Path, spec: training_pb2.TrainingJobSpec, *, warm_start: str = ""
) -> Trained:
    """Train a job, from a checkpoint's weights if one is named, and find its best checkpoint in the mesh's folder."""
    with stage("training"):
        job_id = train(client, spec, warm_start=warm_start)[0].job_id
    best = client.get_job(job_id).best_checkpoint_id
    [checkpoint] = [item for item in client.checkpoints(job_id) if item.id == best]
    return Trained(job_id, mesh_folder / "objects" / checkpoint.storage_path)


def compare_answers(
    client: Client, trained: Trained, image: bytes, local: Worker, runtime: str, compare: Compare
) -> float:
    """Warm both sides up, wait until the mesh predicts with ``runtime``, and make sure that both say the same."""
    with stage("comparing answers"):
        expected = local.ask(do="answer")
        deadline = time.monotonic() + READY_SECONDS
        while True:
            client.predict(image, job_id=trained.job_id)
            if [model.runtime for model in client.loaded_models().models] == [runtime]:
                break
            if time.monotonic() > deadline:
                raise RuntimeError(f"the mesh does not predict with {runtime}; the trainer's log says why")
            time.sleep(0.1)
        return compare(client.predict(image, job_id=trained.job_id), expected)


def latencies(
    client: Client, trained: Trained, image: bytes, local: Mapping[str, Worker], runs: int, count: int
) -> dict[str, list[float]]:
    """The median milliseconds of a call in each run of the mesh and of what computes in process, by its name."""
    sides: dict[str, Callable[[], float]] = {
        name: partial(_median_ms, partial(worker.ask, do="times", count=count)) for name, worker in local.items()
    }
    sides["mesh"] = partial(_median_ms, partial(_times, client, trained.job_id, image, count))
    return in_turns(runs, sides)


def latency_report(
    title: str, how: str, found: Mapping[str, list[float]], notes: Mapping[str, str], targets: Mapping[str, float]
) -> Report:
    """What one client waits for more than each side in process; ``targets`` say by how many milliseconds at most."""
    one = {name: Series(name, "ms", values) for name, values in found.items()}
    added = [
        difference(f"mesh − {name}", one["mesh"], series, targets.get(name, 0.0))
        for name, series in one.items()
        if name != "mesh"
    ]
    return Report(title, how, [*one.values()], added, notes)


def rates(
    client: Client, trained: Trained, image: bytes, local: Worker, runs: int, seconds: float
) -> dict[str, list[float]]:
    """Images per second in each run of both sides."""
    return in_turns(
        runs,
        {
            "in process": lambda: float(local.ask(do="rate", seconds=seconds)),
            "mesh": lambda: _rate(client, trained.job_id, image, seconds),
        },
    )


def rate_report(title: str, how: str, found: Mapping[str, list[float]]) -> Report:
    """What many clients get at once."""
    many = {name: Series(name, "images/s", values) for name, values in found.items()}
    return Report(
        title, how, [*many.values()], [ratio("mesh / in process", many["mesh"], many["in process"], LEAST_RATE)]
    )


def _median_ms(times: Callable[[], list[float]]) -> float:
    return 1000 * statistics.median(times())


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
