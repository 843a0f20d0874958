"""What the mesh stands on goes away for a while in mid-training: callers are told so, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests import postgresql_server, s3_server
from tests.end_to_end import digits
from tests.end_to_end.conftest import Servers, serving
from tests.end_to_end.processes import until
from tests.postgresql_server import PostgreSQLServer
from tests.s3_server import S3Server
from visionmesh.client import Client, VisionMeshError
from visionmesh.v1 import dataset_pb2, job_state_pb2, training_pb2

EPOCHS = 8


@pytest.fixture(scope="module")
def database() -> Iterator[PostgreSQLServer]:
    with postgresql_server.running() as server:
        yield server


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server.running(s3_server.nanio(), tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="module")
def own_client(
    database: PostgreSQLServer, objects: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    with serving(Servers(database, objects).mesh(tmp_path_factory.mktemp("outages"))) as client:
        yield client


@pytest.fixture(scope="module")
def own_dataset(own_client: Client, tmp_path_factory: pytest.TempPathFactory) -> dataset_pb2.Dataset:
    return digits.upload(own_client, digits.write(tmp_path_factory.mktemp("many"), digits.files(3, 120, 10)))


@pytest.fixture
def job(own_client: Client, own_dataset: dataset_pb2.Dataset) -> training_pb2.TrainingJob:
    """A training in its second epoch."""
    job = own_client.create_job(digits.spec(own_dataset.id, epochs=EPOCHS, batch_size=12))
    own_client.start_job(job.id)
    next(own_client.watch_metrics(job.id))
    return job


def refused(client: Client, reason: str) -> bool:
    """Whether calls are refused for that reason, with a hint when to try again."""
    try:
        list(client.jobs())
    except VisionMeshError as error:
        assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, reason)
        assert error.retry_seconds and "127.0.0.1" not in error.message and "/tmp" not in error.message
        return True
    return False


def test_a_database_that_is_restarted_loses_no_event(
    database: PostgreSQLServer, own_client: Client, job: training_pb2.TrainingJob
) -> None:
    database.stop()
    until(lambda: refused(own_client, "DATABASE_UNAVAILABLE"))
    database.start()
    until(lambda: not refused(own_client, "DATABASE_UNAVAILABLE"))
    events = list(own_client.watch_job(job.id))
    assert own_client.get_job(job.id).state == job_state_pb2.JOB_STATE_COMPLETED
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.metric.epoch for event in events if event.HasField("metric")] == list(range(1, EPOCHS + 1))


def test_metrics_go_on_without_the_object_store_and_the_job_ends_when_it_is_back(
    objects: S3Server, own_client: Client, job: training_pb2.TrainingJob, tmp_path: Path
) -> None:
    objects.stop()
    told = []
    for metric in own_client.watch_metrics(job.id):
        told.append(metric.epoch)
        if metric.epoch == EPOCHS:
            break
    assert told == list(range(1, EPOCHS + 1))
    assert own_client.get_job(job.id).state == job_state_pb2.JOB_STATE_RUNNING
    # An upload meanwhile is refused as a whole.
    with pytest.raises(VisionMeshError) as caught:
        own_client.upload_folder(digits.write(tmp_path, digits.files(2, 2, 1)), "none", one_stream=True)
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "OBJECT_STORE_UNAVAILABLE")
    assert "none" not in [dataset.name for dataset in own_client.datasets()]
    objects.start()
    list(own_client.watch_job(job.id))
    done = own_client.get_job(job.id)
    assert done.state == job_state_pb2.JOB_STATE_COMPLETED
    assert [checkpoint.epoch for checkpoint in own_client.checkpoints(job.id)][-1] == EPOCHS
    image = tmp_path / "digit.png"
    image.write_bytes(digits.png(1))
    assert own_client.predict(image, job_id=job.id).classifications
