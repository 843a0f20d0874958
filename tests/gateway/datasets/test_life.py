"""A dataset's life after the upload: finalise, watch, list, delete, and who may do what."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from storage.database.datasets import DatasetRepository
from storage.database.engine import Database
from storage.database.tables import TrainingJob
from storage.objects import keys
from storage.objects.local import LocalObjectStore
from tests.gateway.conftest import Account
from tests.gateway.datasets.conftest import Client, SlowStore, refusal, serving
from tests.gateway.datasets.pictures import files_to, pets, picture, spec
from visionmesh.errors import from_rpc
from visionmesh.v1 import dataset_pb2

ANALYZING = dataset_pb2.DATASET_STATE_ANALYZING
READY = dataset_pb2.DATASET_STATE_READY


async def test_a_watch_follows_from_upload_to_ready(ada: Client) -> None:
    dataset_id = await ada.filled({})
    watching = asyncio.create_task(ada.watch(dataset_id))
    await asyncio.sleep(0.1)
    assert not watching.done()
    await ada.send(files_to(dataset_id, pets()))
    finalized = await ada.finalize(dataset_id)
    assert finalized.state == ANALYZING
    seen = await watching
    states = [answer.dataset.state for answer in seen]
    assert states[0] == dataset_pb2.DATASET_STATE_UPLOADING
    assert states[-1] == READY
    assert states == sorted(states)
    counts = [answer.total_files for answer in seen]
    assert counts == sorted(counts)
    assert (seen[-1].analyzed_files, seen[-1].total_files) == (6, 6)


async def test_a_long_analysis_tells_of_its_progress_and_cannot_be_deleted_under(
    database: Database, tmp_path: Path, alice: Account
) -> None:
    async with (
        serving(database, SlowStore(tmp_path / "slow", 0.3)) as (_, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        client = Client(channel, alice)
        dataset = await client.upload(spec(), pets())
        watching = asyncio.create_task(client.watch(dataset.id))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.delete(dataset.id)
        error = refusal(caught)
        assert (error.reason, error.metadata["from"]) == ("INVALID_STATE_TRANSITION", "ANALYZING")
        seen = await watching
        assert seen[-1].dataset.state == READY
        progress = [answer.analyzed_files for answer in seen]
        assert progress == sorted(progress)
        assert (progress[0], progress[-1]) == (0, 6)
        assert 0 < progress[len(progress) // 2] < 6
        await client.delete(dataset.id)


async def test_a_watch_of_what_is_ready_ends_at_once(ada: Client) -> None:
    dataset = await ada.analysed(spec(), pets())
    (only,) = await ada.watch(dataset.id)
    assert only.dataset == dataset


async def test_a_watch_ends_when_the_dataset_is_deleted(ada: Client) -> None:
    dataset = await ada.create()
    watching = asyncio.create_task(ada.watch(dataset.id))
    await asyncio.sleep(0.1)
    await ada.delete(dataset.id)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watching
    assert refusal(caught).reason == "DATASET_NOT_FOUND"


async def test_a_ready_dataset_takes_no_files_and_no_second_finalise(ada: Client) -> None:
    dataset = await ada.analysed(spec(), pets())
    for call, to in (
        (ada.send(files_to(dataset.id, {"x": b"x"})), "UPLOADING"),
        (ada.finalize(dataset.id), "ANALYZING"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        error = refusal(caught)
        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "INVALID_STATE_TRANSITION")
        assert (error.metadata["from"], error.metadata["to"]) == ("READY", to)


async def test_of_several_who_finalise_at_once_the_others_are_told_that_it_is_under_way(ada: Client) -> None:
    dataset_id = await ada.filled(pets())
    answers = await asyncio.gather(*(ada.finalize(dataset_id) for _ in range(4)), return_exceptions=True)
    refused = [from_rpc(answer) for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert len(refused) == 3
    assert {error.reason for error in refused} == {"INVALID_STATE_TRANSITION"}
    assert (await ada.watch(dataset_id))[-1].dataset.state == READY
    assert await ada.problems(dataset_id) == []


async def test_a_finalise_ends_an_upload_that_is_under_way(ada: Client, store: LocalObjectStore) -> None:
    dataset_id = await ada.filled(pets())
    before = [info.key for info in store.list("datasets/")]
    call = ada.stub.UploadFiles(metadata=ada.metadata)
    messages = [*files_to(dataset_id, {"train/cat/one.png": picture(50), "train/cat/two.png": picture(51)})]
    for message in messages[:3]:
        await call.write(message)
    await call.read()  # the stream has begun before the finalise
    await ada.finalize(dataset_id)
    with suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):  # the first that arrives ends the stream
        for message in messages[3:]:
            await call.write(message)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        while await call.read() is not grpc.aio.EOF:
            pass
    assert refusal(caught).reason == "INVALID_STATE_TRANSITION"
    assert (await ada.watch(dataset_id))[-1].dataset.file_count == 7
    assert len([info.key for info in store.list("datasets/")]) == len(before) + 1


async def test_someone_elses_private_dataset_does_not_exist(ada: Client, ben: Client) -> None:
    dataset_id = await ada.filled(pets())
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: ben.get(dataset_id),
        lambda: ben.files(dataset_id),
        lambda: ben.problems(dataset_id),
        lambda: ben.finalize(dataset_id),
        lambda: ben.watch(dataset_id),
        lambda: ben.delete(dataset_id),
        lambda: ben.send(files_to(dataset_id, {"x": b"x"})),
        lambda: ada.get("ds_nowhere"),
    ]
    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call()
        assert (refusal(caught).code, refusal(caught).reason) == (grpc.StatusCode.NOT_FOUND, "DATASET_NOT_FOUND")
    assert (await ben.listing()).total_size == 0
    assert (await ada.get(dataset_id)).file_count == 6


@pytest.mark.parametrize("visibility", [dataset_pb2.VISIBILITY_PUBLIC, dataset_pb2.VISIBILITY_PROJECT])
async def test_a_shared_dataset_can_be_seen_and_only_its_owner_changes_it(
    ada: Client, ben: Client, visibility: dataset_pb2.Visibility
) -> None:
    dataset_id = await ada.filled({"train/cat/1.png": picture(1)}, spec(visibility=visibility))
    assert (await ben.get(dataset_id)).id == dataset_id
    assert [*await ben.files(dataset_id)] == ["train/cat/1.png"]
    assert [dataset.id for dataset in (await ben.listing()).datasets] == [dataset_id]
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: ben.finalize(dataset_id),
        lambda: ben.delete(dataset_id),
        lambda: ben.send(files_to(dataset_id, {"x": b"x"})),
    ]
    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call()
        assert refusal(caught).reason == "DATASET_NOT_FOUND"
        assert "own" in refusal(caught).message
    assert (await ada.get(dataset_id)).state == dataset_pb2.DATASET_STATE_UPLOADING


async def test_deleting_removes_record_and_objects(ada: Client, store: LocalObjectStore) -> None:
    dataset = await ada.analysed(spec(), pets())
    other = await ada.analysed(spec("other"), pets())
    for dataset_id in (dataset.id, other.id):
        store.put(keys.dataset_annotations(dataset_id), b"annotated")
    await ada.delete(dataset.id)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ada.get(dataset.id)
    assert refusal(caught).reason == "DATASET_NOT_FOUND"
    assert {info.key.split("/")[1].split(".")[0] for info in store.list("")} == {other.id}
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ada.delete(dataset.id)
    assert refusal(caught).reason == "DATASET_NOT_FOUND"


async def test_a_deletion_that_was_cut_off_is_ended_by_the_next_start(
    ada: Client, alice: Account, database: Database, store: LocalObjectStore
) -> None:
    dataset = await ada.analysed(spec(), pets())
    store.put(keys.dataset_annotations(dataset.id), b"annotated")
    # As a gateway leaves it that is killed after the record is gone and before the objects are.
    await database.write(lambda session: DatasetRepository(session).delete(dataset.id))
    store.delete(keys.manifest(dataset.id))
    async with serving(database, store) as (_, address), grpc.aio.insecure_channel(address) as channel:
        assert [*store.list("")] == []
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await Client(channel, alice).delete(dataset.id)
        assert refusal(caught).reason == "DATASET_NOT_FOUND"


async def test_a_dataset_that_a_job_needs_stays(
    ada: Client, alice: Account, database: Database, store: LocalObjectStore
) -> None:
    dataset = await ada.analysed(spec(), pets())
    job = TrainingJob(
        id="job_1",
        user_id=alice.user_id,
        project_id="default",
        framework="timm",
        model_name="test_vit",
        task_type="IMAGE_CLASSIFICATION",
        dataset_id=dataset.id,
        dataset_format="DICE",
        manifest_digest=dataset.manifest_digest,
        num_classes=2,
        epochs=1,
        batch_size=2,
        learning_rate=0.1,
        image_size=32,
        primary_metric="accuracy",
        primary_metric_mode="MAX",
        state="RUNNING",
    )
    await database.write(lambda session: session.add(job))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ada.delete(dataset.id)
    assert (refusal(caught).code, refusal(caught).reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DATASET_IN_USE")
    assert (await ada.get(dataset.id)).state == READY
    assert len([*store.list("")]) == 7


async def test_listings_are_filtered_and_paged_newest_first(ada: Client, ben: Client) -> None:
    made = [
        await ada.create(spec(f"Set {n}", tags=["even"] if n % 2 == 0 else [], project_id=f"p{n % 3}"))
        for n in range(7)
    ]
    await ben.create(spec("not hers"))
    first = await ada.listing(page_size=3)
    second = await ada.listing(page_size=3, page_token=first.next_page_token)
    await ada.create(spec("new on top"))
    third = await ada.listing(page_size=3, page_token=second.next_page_token)
    ids = [dataset.id for page in (first, second, third) for dataset in page.datasets]
    assert ids == [dataset.id for dataset in reversed(made)]
    assert (first.total_size, third.next_page_token) == (7, "")
    assert (await ada.listing(tags=["even"])).total_size == 4
    assert (await ada.listing(text="SET 3")).total_size == 1
    assert (await ada.listing(project_id="p1")).total_size == 2
    assert (await ada.listing(state=READY)).total_size == 0
    assert (await ada.listing(format=dataset_pb2.DATASET_FORMAT_DICE)).total_size == 8


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"page_size": -1}, "page_size"),
        ({"page_size": 1001}, "page_size"),
        ({"page_token": "nonsense"}, "page_token"),
        ({"state": 44}, "state"),
        ({"format": 44}, "format"),
        ({"text": "a\0b"}, "text"),
    ],
)
async def test_a_wrong_listing_is_refused(ada: Client, fields: dict[str, object], field: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ada.listing(**fields)
    assert [violation.field for violation in refusal(caught).violations] == [field]


async def test_files_and_problems_come_in_pages(ada: Client) -> None:
    dataset = await ada.analysed(spec(), {**pets(), **{f"train/cat/{n}.txt": b"" for n in range(3)}})
    paths: list[str] = []
    token = ""
    for _ in range(5):
        files = await ada.stub.ListDatasetFiles(
            dataset_pb2.ListDatasetFilesRequest(dataset_id=dataset.id, page_size=2, page_token=token),
            metadata=ada.metadata,
        )
        paths += [file.path for file in files.files]
        token = files.next_page_token
    assert (paths, token, files.total_size) == ([*await ada.files(dataset.id)], "", 9)
    problems = await ada.stub.ListDatasetProblems(
        dataset_pb2.ListDatasetProblemsRequest(dataset_id=dataset.id, page_size=2), metadata=ada.metadata
    )
    assert (len(problems.problems), problems.total_size) == (2, 3)
    for bad in (
        ada.stub.ListDatasetFiles(
            dataset_pb2.ListDatasetFilesRequest(dataset_id=dataset.id, page_token="x"), metadata=ada.metadata
        ),
        ada.stub.ListDatasetProblems(
            dataset_pb2.ListDatasetProblemsRequest(dataset_id=dataset.id, page_token="x"), metadata=ada.metadata
        ),
        ada.stub.GetDataset(dataset_pb2.GetDatasetRequest(), metadata=ada.metadata),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await bad
        assert refusal(caught).reason == "INVALID_REQUEST"
