"""The place of a queued job in its queue, told whenever it changes: no event does, since other jobs change it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from visionmesh.client import Client, VisionMeshError
from visionmesh.v1 import job_state_pb2, training_pb2

POLL_SECONDS = 2.0


def place_text(job: training_pb2.TrainingJob) -> str:
    """A job's place for a person; empty unless it is queued."""
    return f"number {job.queue_position} in the queue" if job.queue_position else ""


@contextmanager
def places_told(client: Client, job: training_pb2.TrainingJob, tell: Callable[[str], None]) -> Iterator[None]:
    """Call ``tell`` with the job's place, now and after every change, from a thread, for the length of the block."""
    ended = threading.Event()
    thread = threading.Thread(target=_follow, args=(client, job, tell, ended), name="queue", daemon=True)
    if job.state == job_state_pb2.JOB_STATE_QUEUED:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if thread.is_alive():
            thread.join()


def _follow(client: Client, job: training_pb2.TrainingJob, tell: Callable[[str], None], ended: threading.Event) -> None:
    told = ""
    while job.state == job_state_pb2.JOB_STATE_QUEUED and not ended.is_set():
        if (place := place_text(job)) not in ("", told):
            told = place
            tell(place)
        if ended.wait(POLL_SECONDS):
            return
        try:
            job = client.get_job(job.id)
        except VisionMeshError:
            continue  # whoever waits for the events says that the connection broke
