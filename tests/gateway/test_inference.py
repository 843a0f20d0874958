"""Predict over real gRPC, SQLite and a trainer."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from rpc.errors import DomainError
from storage.database.engine import Database
from tests.gateway.calls import add_job, predict, refused
from tests.gateway.conftest import Account, Gateway
from tests.gateway.stand_in import StandInTrainer, unreadable_image
from visionmesh.v1 import inference_pb2


async def test_predicts_with_the_best_checkpoint_of_a_job(
    gateway: Gateway, database: Database, alice: Account, counters: StandInTrainer
) -> None:
    job_id, (best, _) = await add_job(database, alice)
    answer = await predict(gateway, alice, job_id=job_id)
    assert (answer.job_id, answer.checkpoint_id, answer.model_name) == (job_id, best, "count_a")
    assert [(item.label, item.confidence) for item in answer.classifications] == [("bright", 0.75), ("dark", 0.25)]
    (asked,) = counters.predict_requests
    assert (asked.checkpoint.checkpoint_id, asked.checkpoint.job_id, asked.checkpoint.epoch) == (best, job_id, 1)
    assert asked.checkpoint.storage_path == f"checkpoints/default/{job_id}/1"
    assert [(file.name, file.size_bytes, file.sha256) for file in asked.checkpoint.files] == [
        ("weights.safetensors", 10, "ab" * 32)
    ]
    # Counts are filled in; thresholds that were not given stay the trainer's to choose.
    assert (asked.top_k, asked.max_detections) == (5, 300)
    assert not asked.HasField("confidence_threshold")
    assert not asked.HasField("iou_threshold")


async def test_options_reach_the_trainer(
    gateway: Gateway, database: Database, alice: Account, counters: StandInTrainer
) -> None:
    job_id, _ = await add_job(database, alice)
    options: dict[str, Any] = {"confidence_threshold": 0.0, "iou_threshold": 1.0, "top_k": 1, "max_detections": 3000}
    options |= {"labels": ["bright"], "mask_encoding": inference_pb2.MASK_ENCODING_RLE}
    answer = await predict(gateway, alice, job_id=job_id, **options)
    assert [item.label for item in answer.classifications] == ["bright"]
    (asked,) = counters.predict_requests
    assert asked.HasField("confidence_threshold")  # zero is a choice
    assert {name: getattr(asked, name) for name in options} == options


async def test_the_last_checkpoint_when_none_is_best(gateway: Gateway, database: Database, alice: Account) -> None:
    job_id, (_, last) = await add_job(database, alice, best=None)
    assert (await predict(gateway, alice, job_id=job_id)).checkpoint_id == last


async def test_a_checkpoint_by_its_id(gateway: Gateway, database: Database, alice: Account) -> None:
    job_id, (_, last) = await add_job(database, alice)
    answer = await predict(gateway, alice, checkpoint_id=last)
    assert (answer.job_id, answer.checkpoint_id) == (job_id, last)


async def test_a_job_without_a_checkpoint(gateway: Gateway, database: Database, alice: Account) -> None:
    job_id, _ = await add_job(database, alice, epochs=0)
    error = await refused(predict(gateway, alice, job_id=job_id))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_CHECKPOINT")
    assert error.metadata["state"] == "RUNNING"


async def test_what_belongs_to_another_user_is_not_there(
    gateway: Gateway, database: Database, alice: Account, bob: Account, counters: StandInTrainer
) -> None:
    job_id, (checkpoint_id, _) = await add_job(database, alice)
    error = await refused(predict(gateway, bob, job_id=job_id))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")
    other = await refused(predict(gateway, bob, job_id="job_none"))
    assert error.message.replace(job_id, "job_none") == other.message  # nothing tells that it exists
    error = await refused(predict(gateway, bob, checkpoint_id=checkpoint_id))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "CHECKPOINT_NOT_FOUND")
    other = await refused(predict(gateway, bob, checkpoint_id="ckpt_none"))
    assert error.message.replace(checkpoint_id, "ckpt_none") == other.message
    assert counters.asked["Predict"] == 0


@pytest.mark.parametrize("given", ["job\0", "' OR 1=1 --", "é" * 3000, "x" * 50_000])
async def test_ids_that_cannot_be_are_not_found(gateway: Gateway, alice: Account, given: str) -> None:
    error = await refused(predict(gateway, alice, job_id=given))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")
    error = await refused(predict(gateway, alice, checkpoint_id=given))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "CHECKPOINT_NOT_FOUND")


async def test_what_the_trainer_says_of_the_image(
    gateway: Gateway, database: Database, alice: Account, counters: StandInTrainer
) -> None:
    job_id, _ = await add_job(database, alice)
    counters.fails["Predict"] = unreadable_image()
    error = await refused(predict(gateway, alice, job_id=job_id))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "IMAGE_UNREADABLE")
    assert [item.field for item in error.violations] == ["image_bytes"]
    counters.fails["Predict"] = DomainError("BUSY", "The queue is full.", retry_seconds=1)
    error = await refused(predict(gateway, alice, job_id=job_id))
    assert (error.reason, error.retry_seconds) == ("BUSY", 1)


async def test_a_framework_that_is_gone(
    gateway: Gateway, database: Database, alice: Account, counters: StandInTrainer
) -> None:
    job_id, _ = await add_job(database, alice)
    unknown, _ = await add_job(database, alice, framework="yolo")
    assert (await refused(predict(gateway, alice, job_id=unknown))).reason == "FRAMEWORK_NOT_FOUND"
    await counters.stop()
    error = await refused(predict(gateway, alice, job_id=job_id))  # the fleet may not know yet
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "FRAMEWORK_UNAVAILABLE")
    assert error.retry_seconds


async def test_a_call_given_up_is_given_up_at_the_trainer(
    gateway: Gateway, database: Database, alice: Account, counters: StandInTrainer
) -> None:
    job_id, _ = await add_job(database, alice)
    counters.predict_seconds = 30
    waiting = asyncio.ensure_future(predict(gateway, alice, job_id=job_id))
    await asyncio.wait_for(counters.predicting.wait(), 10)
    waiting.cancel()
    await asyncio.wait_for(counters.given_up.wait(), 5)
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_the_deadline_travels_to_the_trainer(
    gateway: Gateway, database: Database, alice: Account, counters: StandInTrainer
) -> None:
    job_id, _ = await add_job(database, alice)
    await predict(gateway, alice, job_id=job_id, timeout=100)  # longer than the gateway's own for trainers
    await predict(gateway, alice, job_id=job_id, timeout=None)
    longer, own = counters.predict_deadlines
    assert 90 < longer < 101
    assert 5 < own < 11
    counters.predict_seconds = 30
    error = await refused(predict(gateway, alice, job_id=job_id, timeout=0.5))
    assert error.code == grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(counters.given_up.wait(), 5)
