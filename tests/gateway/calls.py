"""Calls of the public services, and what a database must hold for them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeVar

import grpc
import pytest

from storage.database.engine import Database
from storage.database.ids import new_id
from storage.database.jobs import JobRepository
from storage.database.projections import CheckpointRepository
from storage.database.tables import Checkpoint, TrainingJob
from tests.gateway.conftest import Account, Gateway
from visionmesh.errors import VisionMeshError, from_rpc
from visionmesh.v1 import inference_pb2, registry_pb2

T = TypeVar("T")
Message = TypeVar("Message")
_PAUSES = (0, 0.01, 0.03, 0.1, 0.3, 1)

# Every model of the two trainers, in the order of ListModels.
ALL = [
    ("boxes", "box_m"),
    ("boxes", "box_s"),
    ("counters", "Count_Big"),
    *(("counters", f"count_{letter}") for letter in "abcde"),
    ("counters", "zeta"),
]

IMAGE = b"\xff\xff\xff\x00"  # three bright pixels of four


async def told_why(call: Callable[[AsyncIterator[Message]], Awaitable[T]], messages: Iterable[Message]) -> T:
    """Make a call that streams requests, again when its refusal comes without a reason: grpc.aio's client loses the
    status of a call that is refused while it still writes. What is refused changed nothing. Each time there is a longer
    pause after each message, in which the refusal finds nothing being written."""
    kept = [*messages]
    for seconds in _PAUSES:
        try:
            return await call(_slowly(kept, seconds))
        except grpc.aio.AioRpcError as error:
            if from_rpc(error).reason:
                raise
    raise AssertionError("no refusal came with its reason")


async def _slowly(messages: Iterable[Message], seconds: float) -> AsyncIterator[Message]:
    for message in messages:
        yield message
        await asyncio.sleep(seconds)


async def add_job(
    database: Database, account: Account, *, framework: str = "counters", epochs: int = 2, best: int | None = 1
) -> tuple[str, list[str]]:
    """A job of the account with a checkpoint after each epoch; gives the ids of both. ``best`` counts from 1."""
    job_id = new_id("job")
    checkpoints = [
        Checkpoint(
            id=new_id("ckpt"),
            job_id=job_id,
            run_id="run_1",
            epoch=epoch,
            files=[{"name": "weights.safetensors", "size_bytes": 10, "sha256": "ab" * 32}],
            storage_path=f"checkpoints/default/{job_id}/{epoch}",
            size_bytes=10,
            digest=hashlib.sha256(f"{job_id} {epoch}".encode()).hexdigest(),
        )
        for epoch in range(1, epochs + 1)
    ]
    ids = [checkpoint.id for checkpoint in checkpoints]
    job = TrainingJob(
        id=job_id,
        user_id=account.user_id,
        project_id="default",
        framework=framework,
        model_name="count_a",
        task_type="IMAGE_CLASSIFICATION",
        dataset_id="ds_1",
        dataset_format="DICE",
        manifest_digest="cd" * 32,
        num_classes=2,
        epochs=2,
        batch_size=4,
        learning_rate=0.1,
        image_size=32,
        primary_metric="accuracy",
        primary_metric_mode="MAX",
        state="RUNNING",
        best_checkpoint_id=ids[best - 1] if best is not None and ids else "",
        last_checkpoint_id=ids[-1] if ids else "",
    )

    def work(session: Any) -> None:
        JobRepository(session).add(job)
        for checkpoint in checkpoints:
            CheckpointRepository(session).put(checkpoint)

    await database.write(work)
    return job_id, ids


async def predict(
    gateway: Gateway, account: Account, *, timeout: float | None = 10, **fields: Any
) -> inference_pb2.PredictResponse:
    """One call of Predict; the image is IMAGE unless given."""
    request = inference_pb2.PredictRequest(**({"image_bytes": IMAGE} | fields))
    return await gateway.inference.Predict(request, metadata=account.metadata, timeout=timeout)


async def list_models(gateway: Gateway, account: Account, **filters: Any) -> registry_pb2.ListModelsResponse:
    """One call of ListModels."""
    request = registry_pb2.ListModelsRequest(**filters)
    return await gateway.registry.ListModels(request, metadata=account.metadata, timeout=10)


def names(response: registry_pb2.ListModelsResponse) -> list[tuple[str, str]]:
    return [(item.framework, item.model_name) for item in response.models]


async def refused(call: Awaitable[object]) -> VisionMeshError:
    """The error that a call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc(caught.value)
