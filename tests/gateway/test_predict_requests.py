"""What a prediction is refused for before any trainer is asked."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from storage.database.engine import Database
from tests.gateway.calls import add_job, predict, refused
from tests.gateway.conftest import MAX_IMAGE_BYTES, Account, Gateway
from tests.gateway.stand_in import StandInTrainer
from visionmesh.v1 import inference_pb2


async def test_everything_wrong_is_named_at_once(gateway: Gateway, alice: Account) -> None:
    request = inference_pb2.PredictRequest(
        confidence_threshold=1.5,
        iou_threshold=float("nan"),
        top_k=-1,
        max_detections=3001,
        mask_encoding=7,  # type: ignore[arg-type]
    )
    error = await refused(gateway.inference.Predict(request, metadata=alice.metadata))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    fields = ["model", "image", "confidence_threshold", "iou_threshold", "top_k", "max_detections", "mask_encoding"]
    assert [item.field for item in error.violations] == fields


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("confidence_threshold", -0.01),
        ("confidence_threshold", float("inf")),
        ("iou_threshold", float("-inf")),
        ("top_k", 1001),
        ("max_detections", -(2**31)),
        ("image_bytes", b""),
    ],
)
async def test_one_thing_wrong(gateway: Gateway, database: Database, alice: Account, field: str, value: Any) -> None:
    job_id, _ = await add_job(database, alice)
    error = await refused(predict(gateway, alice, job_id=job_id, **{field: value}))
    assert [item.field for item in error.violations] == [field]


async def test_empty_ids_are_named(gateway: Gateway, alice: Account) -> None:
    for field, call in (
        ("job_id", predict(gateway, alice, job_id="")),
        ("checkpoint_id", predict(gateway, alice, checkpoint_id="")),
    ):
        error = await refused(call)
        assert [item.field for item in error.violations] == [field]


async def test_an_image_over_the_limit_names_the_setting(
    gateway: Gateway, database: Database, alice: Account, counters: StandInTrainer
) -> None:
    job_id, _ = await add_job(database, alice)
    await predict(gateway, alice, job_id=job_id, image_bytes=bytes(MAX_IMAGE_BYTES))
    error = await refused(predict(gateway, alice, job_id=job_id, image_bytes=bytes(MAX_IMAGE_BYTES + 1)))
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE")
    assert error.metadata["setting"] == "VISIONMESH_MAX_MESSAGE_BYTES"
    assert counters.asked["Predict"] == 1


async def test_every_rpc_needs_a_token(gateway: Gateway) -> None:
    inference = gateway.inference
    for call in (
        inference.Predict(inference_pb2.PredictRequest()),
        inference.ListLoadedModels(inference_pb2.ListLoadedModelsRequest()),
        inference.PredictStream().read(),
    ):
        assert (await refused(call)).reason == "TOKEN_MISSING"
