"""CreateDataset: its rules, all named at once, and repeated calls."""

from __future__ import annotations

import math

import grpc
import pytest

from tests.gateway.datasets.conftest import Client, refusal
from tests.gateway.datasets.pictures import spec
from visionmesh.v1 import dataset_pb2


async def test_a_dataset_begins_uploading_and_private_with_the_defaults(ada: Client) -> None:
    dataset = await ada.create(spec("Pets", tags=["a", "a", "b"]))
    assert dataset.state == dataset_pb2.DATASET_STATE_UPLOADING
    assert dataset.visibility == dataset_pb2.VISIBILITY_PRIVATE
    assert (dataset.project_id, dataset.val_fraction, [*dataset.tags]) == ("default", 0.2, ["a", "b"])
    assert dataset.storage_path == f"datasets/{dataset.id}/"
    assert await ada.get(dataset.id) == dataset


async def test_every_violation_is_named_before_anything_is_made(ada: Client) -> None:
    wrong = dataset_pb2.DatasetSpec(
        name=" ", description="x" * 10_001, tags=["good", ""], val_fraction=math.nan, project_id="p" * 201
    )
    wrong.format = 77  # type: ignore[assignment]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ada.create(wrong, request_id="r" * 201)
    error = refusal(caught)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert {violation.field for violation in error.violations} == {
        "request_id",
        "dataset.name",
        "dataset.description",
        "dataset.format",
        "dataset.tags[1]",
        "dataset.val_fraction",
        "dataset.project_id",
    }
    assert (await ada.listing()).total_size == 0


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"format": 77}, "dataset.format", "number 77"),
        ({"visibility": 77}, "dataset.visibility", "not known"),
        ({"val_fraction": 1.0}, "dataset.val_fraction", "less than 1"),
        ({"val_fraction": -0.1}, "dataset.val_fraction", "less than 1"),
        ({"tags": [str(n) for n in range(51)]}, "dataset.tags", "at most 50"),
        ({"name": "x" * 201}, "dataset.name", "at most 200"),
        ({"name": "a\0b"}, "dataset.name", "NUL"),
    ],
)
async def test_what_cannot_be_served_is_refused(ada: Client, fields: dict[str, object], field: str, said: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ada.create(spec(**{"name": "pets", **fields}))  # type: ignore[arg-type]
    (violation,) = refusal(caught).violations
    assert violation.field == field
    assert said in violation.description


async def test_the_same_request_id_gives_the_same_dataset(ada: Client, ben: Client) -> None:
    first = await ada.create(spec(), request_id="once")
    assert await ada.create(spec(), request_id="once") == first
    assert (await ben.create(spec(), request_id="once")).id != first.id
    assert (await ada.listing()).total_size == 1

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ada.create(spec("other"), request_id="once")
    assert (refusal(caught).code, refusal(caught).reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert (await ada.listing()).total_size == 1
