"""Predicting a file of a dataset: read by the gateway, for those who may see it."""

from __future__ import annotations

import grpc
import pytest

from storage.database.datasets import DatasetRepository
from storage.database.engine import Database
from storage.database.tables import Dataset, DatasetFile
from storage.objects import keys
from storage.objects.local import LocalObjectStore
from tests.gateway.calls import IMAGE, add_job, predict, refused
from tests.gateway.conftest import MAX_IMAGE_BYTES, Account, Gateway
from tests.gateway.stand_in import StandInTrainer
from visionmesh.v1 import inference_pb2

PATH = "train/bright/é.png"


async def add_dataset(database: Database, store: LocalObjectStore, owner: Account, visibility: str) -> str:
    """A dataset of three files: an image, one over the limit, one whose object is gone."""
    dataset_id = f"ds_{visibility.lower()}"
    sizes = {PATH: len(IMAGE), "large.png": MAX_IMAGE_BYTES + 1, "gone.png": 5}
    store.put(keys.dataset_file(dataset_id, PATH), IMAGE)

    def work(session: object) -> None:
        datasets = DatasetRepository(session)  # type: ignore[arg-type]
        datasets.add(
            Dataset(
                id=dataset_id,
                user_id=owner.user_id,
                project_id="default",
                name=dataset_id,
                format="DICE",
                visibility=visibility,
                state="UPLOADING",
            )
        )
        files = [
            DatasetFile(dataset_id=dataset_id, path=path, size_bytes=size, sha256="ab" * 32)
            for path, size in sizes.items()
        ]
        datasets.add_files(dataset_id, files)

    await database.write(work)
    return dataset_id


def file(dataset_id: str, path: str) -> inference_pb2.PredictRequest:
    return inference_pb2.PredictRequest(
        dataset_file=inference_pb2.DatasetFileRef(dataset_id=dataset_id, path=path), top_k=1
    )


async def test_a_file_is_predicted_like_its_bytes(
    gateway: Gateway, database: Database, store: LocalObjectStore, alice: Account, counters: StandInTrainer
) -> None:
    job_id, _ = await add_job(database, alice)
    request = file(await add_dataset(database, store, alice, "PRIVATE"), PATH)
    request.job_id = job_id
    answer = await gateway.inference.Predict(request, metadata=alice.metadata, timeout=10)
    assert answer.classifications == (await predict(gateway, alice, job_id=job_id, top_k=1)).classifications
    message = inference_pb2.PredictStreamRequest(request=request)
    [streamed] = [item async for item in gateway.inference.PredictStream(iter([message]), metadata=alice.metadata)]
    assert streamed.response == answer
    assert {asked.image_bytes for asked in counters.predict_requests} == {IMAGE}


@pytest.mark.parametrize(
    ("path", "code", "reason"),
    [
        ("train/bright/none.png", grpc.StatusCode.NOT_FOUND, "FILE_NOT_FOUND"),
        ("large.png", grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE"),
        ("gone.png", grpc.StatusCode.FAILED_PRECONDITION, "STORAGE_CORRUPT"),
        ("../large.png", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
        ("", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
        ("a\0b", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
    ],
)
async def test_a_file_that_cannot_be_had(
    gateway: Gateway,
    database: Database,
    store: LocalObjectStore,
    alice: Account,
    counters: StandInTrainer,
    path: str,
    code: grpc.StatusCode,
    reason: str,
) -> None:
    job_id, _ = await add_job(database, alice)
    request = file(await add_dataset(database, store, alice, "PRIVATE"), path)
    request.job_id = job_id
    error = await refused(gateway.inference.Predict(request, metadata=alice.metadata))
    assert (error.code, error.reason) == (code, reason)
    assert counters.asked["Predict"] == 0


async def test_a_private_dataset_of_someone_else_is_not_there(
    gateway: Gateway, database: Database, store: LocalObjectStore, alice: Account, bob: Account
) -> None:
    job_id, _ = await add_job(database, alice)
    private = await add_dataset(database, store, bob, "PRIVATE")
    public = await add_dataset(database, store, bob, "PUBLIC")
    for dataset_id in (private, "ds_none", "ds\0", ""):
        request = file(dataset_id, PATH)
        request.job_id = job_id
        error = await refused(gateway.inference.Predict(request, metadata=alice.metadata))
        assert error.reason == ("DATASET_NOT_FOUND" if dataset_id else "INVALID_REQUEST")
    request = file(public, PATH)
    request.job_id = job_id
    assert (await gateway.inference.Predict(request, metadata=alice.metadata)).classifications
