"""Changing what people read of a dataset."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from tests.gateway.calls import refused
from tests.gateway.datasets.conftest import Client
from tests.gateway.datasets.pictures import pets, spec
from visionmesh.v1 import dataset_pb2

PUBLIC = dataset_pb2.VISIBILITY_PUBLIC
PROJECT = dataset_pb2.VISIBILITY_PROJECT


async def update(client: Client, dataset_id: str, *paths: str, **fields: object) -> dataset_pb2.Dataset:
    """One call of UpdateDataset."""
    request = dataset_pb2.UpdateDatasetRequest(
        dataset_id=dataset_id,
        dataset=dataset_pb2.DatasetSpec(**fields),  # type: ignore[arg-type]
        update_mask=FieldMask(paths=paths),
    )
    return (await client.stub.UpdateDataset(request, metadata=client.metadata)).dataset


async def test_what_the_mask_names_is_changed_and_nothing_else(ada: Client) -> None:
    made = await ada.create(spec("pets", description="cats and dogs", tags=["a"]))
    changed = await update(ada, made.id, "name", "tags", name="animals", description="not read", tags=["b", "b", "c"])
    assert (changed.name, changed.description, list(changed.tags)) == ("animals", "cats and dogs", ["b", "c"])
    assert changed.update_time.ToDatetime() > made.update_time.ToDatetime()
    assert await ada.get(made.id) == changed
    emptied = await update(ada, made.id, "description", "tags")
    assert (emptied.name, emptied.description, list(emptied.tags)) == ("animals", "", [])


async def test_a_ready_dataset_can_be_renamed_and_stays_what_jobs_train_on(ada: Client) -> None:
    ready = await ada.analysed(spec(), pets())
    renamed = await update(ada, ready.id, "name", name="renamed")
    assert (renamed.state, renamed.manifest_digest) == (ready.state, ready.manifest_digest)
    assert renamed.name == "renamed"


async def test_sharing_a_dataset_shows_it_to_others_and_they_cannot_change_it(ada: Client, ben: Client) -> None:
    made = await ada.create()
    hidden = await refused(update(ben, made.id, "name", name="mine"))
    assert (hidden.code, hidden.reason) == (grpc.StatusCode.NOT_FOUND, "DATASET_NOT_FOUND")
    assert "own" not in hidden.message
    await update(ada, made.id, "visibility", visibility=PUBLIC)
    assert (await ben.get(made.id)).visibility == PUBLIC
    shared = await refused(update(ben, made.id, "name", name="mine"))
    assert (shared.reason, "only its owner" in shared.message) == ("DATASET_NOT_FOUND", True)
    await update(ada, made.id, "visibility", visibility=dataset_pb2.VISIBILITY_PRIVATE)
    assert (await refused(ben.get(made.id))).reason == "DATASET_NOT_FOUND"
    assert (await ada.get(made.id)).name == "pets"


async def test_a_watch_tells_of_a_new_name(ada: Client) -> None:
    made = await ada.create()
    watching = ada.stub.WatchDataset(
        dataset_pb2.WatchDatasetRequest(dataset_id=made.id), metadata=ada.metadata, timeout=30
    )
    stream = aiter(watching)
    assert (await anext(stream)).dataset.name == "pets"
    await update(ada, made.id, "name", name="animals")
    async with asyncio.timeout(4):  # sooner than the watch would look by itself
        assert (await anext(stream)).dataset.name == "animals"
    watching.cancel()


@pytest.mark.parametrize(
    ("paths", "fields", "violations"),
    [
        ((), {"name": "x"}, ["update_mask"]),
        (("format", "name"), {"name": "x"}, ["update_mask.paths[0]"]),
        (("project_id",), {}, ["update_mask.paths[0]"]),
        (("val_fraction",), {}, ["update_mask.paths[0]"]),
        (("split_seed",), {}, ["update_mask.paths[0]"]),
        (("id",), {}, ["update_mask.paths[0]"]),
        (("*",), {}, ["update_mask.paths[0]"]),
        (("dataset.name",), {}, ["update_mask.paths[0]"]),
        (("name",), {}, ["dataset.name"]),
        (("name",), {"name": " "}, ["dataset.name"]),
        (("visibility",), {}, ["dataset.visibility"]),
        (("visibility",), {"visibility": 44}, ["dataset.visibility"]),
        (("tags",), {"tags": ["a", ""]}, ["dataset.tags[1]"]),
        (
            ("format", "nonsense", "name", "description", "tags"),
            {"name": "x" * 201, "description": "x" * 10_001, "tags": [str(n) for n in range(51)]},
            ["update_mask.paths[0]", "update_mask.paths[1]", "dataset.name", "dataset.description", "dataset.tags"],
        ),
    ],
)
async def test_every_wrong_path_and_value_is_named_and_nothing_changes(
    ada: Client, paths: tuple[str, ...], fields: dict[str, object], violations: list[str]
) -> None:
    made = await ada.create()
    error = await refused(update(ada, made.id, *paths, **fields))
    assert (error.reason, [violation.field for violation in error.violations]) == ("INVALID_REQUEST", violations)
    assert await ada.get(made.id) == made


async def test_an_update_of_nothing_that_exists_is_refused(ada: Client) -> None:
    assert (await refused(update(ada, "ds_none", "name", name="x"))).reason == "DATASET_NOT_FOUND"
    error = await refused(update(ada, "", "name", name="x"))
    assert [violation.field for violation in error.violations] == ["dataset_id"]
