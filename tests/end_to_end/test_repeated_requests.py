"""The same request_id twice: a repeated call is harmless, another body is refused."""

from __future__ import annotations

import uuid

from tests.end_to_end import digits
from tests.end_to_end.refusals import Code, refused
from visionmesh.client import Client
from visionmesh.v1 import dataset_pb2, training_pb2


def test_a_job_is_created_once(client: Client, dataset: dataset_pb2.Dataset) -> None:
    request_id = uuid.uuid4().hex
    first = client.create_job(digits.spec(dataset.id), request_id=request_id)
    jobs = [job.id for job in client.jobs()]
    assert client.create_job(digits.spec(dataset.id), request_id=request_id) == first
    error = refused(
        lambda: client.create_job(digits.spec(dataset.id, epochs=3), request_id=request_id),
        Code.ALREADY_EXISTS,
        "REQUEST_ID_REUSED",
    )
    assert error.metadata == {**error.metadata, "request_id": request_id, "resource_id": first.id}
    assert [job.id for job in client.jobs()] == jobs
    # A body that is wrong by itself says so, whatever its id.
    refused(
        lambda: client.create_job(digits.spec(dataset.id, epochs=0), request_id=request_id),
        Code.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        "job.epochs",
    )


def test_a_dataset_is_created_once(client: Client) -> None:
    request_id = uuid.uuid4().hex
    spec = dataset_pb2.DatasetSpec(name="once", format=dataset_pb2.DATASET_FORMAT_DICE)
    first = client.create_dataset(spec, request_id=request_id)
    assert client.create_dataset(spec, request_id=request_id) == first
    spec.name = "twice"
    refused(lambda: client.create_dataset(spec, request_id=request_id), Code.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert [found.id for found in client.datasets(text="once")] == [first.id]
    assert not list(client.datasets(text="twice"))
    client.delete_dataset(first.id)


def test_a_job_is_started_once(client: Client, trained: training_pb2.TrainingJob) -> None:
    # After its end the call that started it gives its answer again, and starts nothing.
    assert client.start_job(trained.id, request_id=digits.REQUEST_ID) == trained
    refused(
        lambda: client.start_job(trained.id, resume=True, request_id=digits.REQUEST_ID),
        Code.ALREADY_EXISTS,
        "REQUEST_ID_REUSED",
    )
    assert client.get_job(trained.id) == trained
