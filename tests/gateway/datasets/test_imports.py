"""Datasets made of files that lie in a bucket or a folder already."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from botocore.exceptions import ClientError

from gateway.datasets.import_rules import ImportRules
from gateway.datasets.service import DatasetService
from storage.database.datasets import DatasetRepository
from storage.database.engine import Database
from storage.database.tables import now
from storage.objects import keys
from storage.objects.errors import StoreUnavailable
from storage.objects.local import LocalObjectStore
from storage.objects.open import open_store
from storage.objects.source import source_location
from storage.objects.store import ObjectStore
from tests import s3_server
from tests.gateway.conftest import Account
from tests.gateway.datasets import puts
from tests.gateway.datasets.conftest import Client, refusal, serving
from tests.gateway.datasets.pictures import files_to, header, pets, picture, spec
from tests.gateway.waiting import until
from tests.s3_server import S3Server
from visionmesh.v1 import dataset_pb2

READY, FAILED = dataset_pb2.DATASET_STATE_READY, dataset_pb2.DATASET_STATE_FAILED
CAT = "train/cat/0.png"

# A gateway with imports in a process of its own, which a test can kill. Copies take their time.
SERVER = """
import asyncio, sys
from pathlib import Path
from storage.database.engine import Database
from tests.gateway.datasets.conftest import serving
from tests.gateway.datasets.test_imports import SlowWriters, rules

async def main(database, objects, source):
    store = SlowWriters(Path(objects), 0.3)
    async with serving(Database(database), store, import_rules=rules(source, objects)) as (_, address):
        print(address, flush=True)
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


class SlowWriters(LocalObjectStore):
    """A store on a slow disk: each object takes its time to be begun."""

    def __init__(self, root: Path, seconds: float) -> None:
        super().__init__(root)
        self._seconds = seconds

    def writer(self, key: str, *, size_bytes: int | None = None, sha256: str | None = None) -> Any:
        time.sleep(self._seconds)
        return super().writer(key, size_bytes=size_bytes, sha256=sha256)


def rules(allowed: str | Path, object_store: str | Path, **more: Any) -> ImportRules:
    return ImportRules([source_location(str(allowed))], str(object_store), **more)


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The folder below which imports are allowed; `pets` in it holds a good dataset."""
    write(tmp_path / "source" / "pets", pets())
    return tmp_path / "source"


@pytest.fixture
async def server(
    database: Database, store: LocalObjectStore, source: Path, tmp_path: Path
) -> AsyncIterator[tuple[DatasetService, str]]:
    async with serving(database, store, import_rules=rules(source, tmp_path / "objects")) as served:
        yield served


async def begin(
    client: Client, prefix: str | Path, request_id: str = "", what: dataset_pb2.DatasetSpec | None = None
) -> dataset_pb2.Dataset:
    request = dataset_pb2.ImportDatasetRequest(dataset=what or spec(), prefix=str(prefix), request_id=request_id)
    return (await client.stub.ImportDataset(request, metadata=client.metadata)).dataset


async def imported(client: Client, prefix: str | Path) -> dataset_pb2.Dataset:
    """The dataset when import and analysis have ended."""
    return (await client.watch((await begin(client, prefix)).id))[-1].dataset


async def refused(client: Client, prefix: str | Path) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await begin(client, prefix)
    return refusal(caught).reason


async def test_a_folder_becomes_a_dataset(ada: Client, source: Path, store: LocalObjectStore) -> None:
    (source / "pets" / ".DS_Store").write_bytes(b"clutter")
    dataset = await begin(ada, source / "pets")
    assert dataset.state == dataset_pb2.DATASET_STATE_UPLOADING
    assert dataset.import_source == f"{source}/pets/"
    ready = (await ada.watch(dataset.id))[-1].dataset
    assert (ready.state, ready.file_count, ready.import_source) == (READY, 6, f"{source}/pets/")
    files = await ada.files(dataset.id)
    assert {path: file.sha256 for path, file in files.items()} == {
        path: header(path, data).sha256 for path, data in pets().items()
    }
    assert all(store.get(keys.dataset_file(dataset.id, path)) == data for path, data in pets().items())


@pytest.fixture(scope="module", params=["nanio", "moto"])
def s3(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    command = s3_server.nanio() if request.param == "nanio" else s3_server.moto()
    with s3_server.running(command, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.mark.parametrize("into", ["same bucket", "other bucket", "folder"])
async def test_a_prefix_of_a_bucket_becomes_a_dataset(
    into: str, s3: S3Server, database: Database, alice: Account, tmp_path: Path
) -> None:
    bucket = s3.new_bucket()
    files = {**pets(), "train/cat/ä b+%.png": picture(77)}
    for path, data in files.items():
        s3.client().put_object(Bucket=bucket, Key=f"raw/pets/{path}", Body=data)
    with suppress(ClientError):  # what consoles make of a folder, where the server lets them
        s3.client().put_object(Bucket=bucket, Key="raw/pets/train/", Body=b"")
    s3.client().put_object(Bucket=bucket, Key="raw/pets2/train/cat/other.png", Body=picture(78))
    location = {
        "same bucket": f"s3://{bucket}/visionmesh",
        "other bucket": f"s3://{s3.new_bucket()}",
        "folder": str(tmp_path / "objects"),
    }[into]
    store = open_store(location, s3.settings())
    allowing = rules(f"s3://{bucket}/raw/", location, s3=s3.settings())
    async with (
        serving(database, store, import_rules=allowing) as (_, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        client = Client(channel, alice)
        ready = await imported(client, f"s3://{bucket}/raw/pets")
        assert (ready.state, ready.file_count) == (READY, len(files))
        assert {path: file.sha256 for path, file in (await client.files(ready.id)).items()} == {
            path: header(path, data).sha256 for path, data in files.items()
        }
        assert all(store.get(keys.dataset_file(ready.id, path)) == data for path, data in files.items())
        gone = await imported(client, f"s3://{bucket}/raw/nothing/")
        assert (gone.state, gone.failure.reason) == (FAILED, "IMPORT_FAILED")


async def test_a_bucket_that_is_not_there_is_named(
    s3: S3Server, database: Database, store: ObjectStore, alice: Account
) -> None:
    async with (
        serving(database, store, import_rules=rules("s3://nowhere/raw", "", s3=s3.settings())) as (_, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        failed = await imported(Client(channel, alice), "s3://nowhere/raw/pets")
    assert failed.failure.reason == "IMPORT_FAILED"
    assert "'nowhere'" in failed.failure.message and "NoSuchBucket" in failed.failure.message


async def test_only_what_the_setting_names_may_be_imported(
    ada: Client, source: Path, tmp_path: Path, server: tuple[DatasetService, str]
) -> None:
    write(tmp_path / "source2" / "pets", pets())
    (source / "out").symlink_to(tmp_path / "source2")
    for outside in (tmp_path / "source2" / "pets", tmp_path / "source2", source / "out", source / "out/pets", "/etc"):
        assert await refused(ada, outside) == "IMPORT_NOT_ALLOWED"
    assert await refused(ada, "s3://bucket/prefix/") == "IMPORT_NOT_ALLOWED"
    for nonsense in (
        "",
        "pets",
        "../source",
        f"{source}/../source2/pets",
        f"{source}//pets",
        f"{source}/a\0b",
        "s3://",
    ):
        assert await refused(ada, nonsense) == "INVALID_REQUEST"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await begin(ada, "/etc")
    assert refusal(caught).code == grpc.StatusCode.PERMISSION_DENIED
    assert refusal(caught).metadata["allowed"] == f"{source}/"
    assert (await ada.listing()).total_size == 0


def test_a_prefix_allows_no_neighbour_that_begins_like_it() -> None:
    allowing = ImportRules([source_location("s3://bucket/team-a")], "s3://other")
    assert allowing.check("s3://bucket/team-a") == "s3://bucket/team-a/"
    assert allowing.check("s3://bucket/team-a/x") == "s3://bucket/team-a/x/"
    for outside in ("s3://bucket/team-a2/", "s3://bucket/team", "s3://bucket/", "s3://bucket2/team-a/"):
        with pytest.raises(Exception, match="Nothing may be imported from"):
            allowing.check(outside)


@pytest.mark.parametrize("store", ["s3://bucket", "s3://bucket/vm"])
def test_the_objects_of_the_mesh_itself_are_never_imported(store: str) -> None:
    allowing = ImportRules([source_location("s3://bucket")], store)
    assert allowing.check("s3://bucket/raw") == "s3://bucket/raw/"
    for own in (f"{store}/datasets", f"{store}/datasets/ds_of_someone", f"{store}/incoming", store, "s3://bucket"):
        with pytest.raises(Exception, match="objects of VisionMesh itself"):
            allowing.check(own)


def test_a_folder_that_holds_the_object_store_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "data" / "objects" / "datasets").mkdir(parents=True)
    allowing = rules(tmp_path / "data", tmp_path / "data" / "objects")
    for own in ("data", "data/objects", "data/objects/datasets"):
        with pytest.raises(Exception, match="objects of VisionMesh itself"):
            allowing.check(str(tmp_path / own))


async def test_without_the_setting_nothing_may_be_imported(
    database: Database, store: LocalObjectStore, alice: Account, source: Path
) -> None:
    async with serving(database, store) as (_, address), grpc.aio.insecure_channel(address) as channel:
        assert await refused(Client(channel, alice), source / "pets") == "IMPORT_NOT_ALLOWED"


async def test_links_may_lead_about_in_what_is_allowed_and_not_out_of_it(
    ada: Client, source: Path, tmp_path: Path
) -> None:
    linked = source / "linked"
    linked.mkdir()
    (linked / "train").symlink_to(source / "pets" / "train")
    (linked / "val").symlink_to(source / "pets" / "val")
    (linked / "again").symlink_to(linked)  # a loop
    ready = await imported(ada, linked)
    assert (ready.state, ready.file_count) == (READY, 6)

    (tmp_path / "secret").write_bytes(b"secret")
    (linked / "val2").symlink_to(tmp_path / "secret")
    failed = await imported(ada, linked)
    assert (failed.state, failed.failure.reason) == (FAILED, "IMPORT_FAILED")
    assert failed.failure.metadata["object"] == "val2"
    assert "val2" not in await ada.files(failed.id)


async def test_a_link_changed_while_the_import_runs_leads_nowhere(source: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    opened = rules(source, tmp_path / "objects").open(f"{source}/pets/")
    listed = [file.name for file in opened.files()]
    assert CAT in listed
    (source / "pets" / CAT).unlink()
    (source / "pets" / CAT).symlink_to(tmp_path / "secret")
    with pytest.raises(Exception, match="symbolic link"):
        b"".join(opened.read(CAT))


async def test_what_cannot_be_imported_is_named(ada: Client, source: Path, store: LocalObjectStore) -> None:
    async def failure(name: str) -> tuple[str, str]:
        failed = await imported(ada, source / name)
        assert (failed.state, failed.failure.reason) == (FAILED, "IMPORT_FAILED")
        assert failed.failure.metadata["source"] == f"{source}/{name}/"
        return failed.failure.metadata["object"], failed.failure.message

    assert (await failure("gone"))[1].count("not there") == 1
    (source / "empty").mkdir()
    assert (await failure("empty"))[1].count("no file") == 1
    write(source / "large", {"a.bin": bytes(5 << 20)})
    assert (await failure("large"))[0] == "a.bin"
    write(source / "many", {f"{number:03}": b"x" for number in range(101)})
    assert (await failure("many"))[0] == "100"
    write(source / "back", {"a\\b": b"x"})
    name, message = await failure("back")
    assert name == "a\\b" and "backslash" in message
    (source / "pipe").mkdir()
    os.mkfifo(source / "pipe" / "fifo")
    assert (await failure("pipe"))[0] == "fifo"
    assert [*store.list("datasets/")] == []


async def test_a_failed_import_is_mended_by_uploads(ada: Client, source: Path) -> None:
    write(source / "large", {**pets(), "val/zebra/large.bin": bytes(5 << 20)})
    failed = await imported(ada, source / "large")
    assert failed.state == FAILED
    missing = {path: data for path, data in pets().items() if path not in await ada.files(failed.id)}
    await ada.send(files_to(failed.id, missing))
    await ada.finalize(failed.id)
    assert (await ada.watch(failed.id))[-1].dataset.state == READY


async def test_the_same_request_id_imports_once(ada: Client, source: Path) -> None:
    first = await begin(ada, source / "pets", request_id="once")
    again = await begin(ada, source / "pets", request_id="once")
    assert again.id == first.id
    assert (await ada.watch(first.id))[-1].dataset.state == READY
    assert (await begin(ada, source / "pets", request_id="once")).id == first.id
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await begin(ada, source, request_id="once")
    assert refusal(caught).reason == "REQUEST_ID_REUSED"
    assert (await ada.listing()).total_size == 1


async def test_violations_of_the_spec_are_named(ada: Client, source: Path) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await begin(ada, source / "pets", what=spec("", val_fraction=2.0))
    fields = [violation.field for violation in refusal(caught).violations]
    assert fields == ["dataset.name", "dataset.val_fraction"]


async def test_while_it_is_imported_nobody_else_adds_to_it_or_finalises_it(
    database: Database, tmp_path: Path, source: Path, alice: Account
) -> None:
    slow = SlowWriters(tmp_path / "objects", 0.3)
    async with (
        serving(database, slow, import_rules=rules(source, tmp_path / "objects")) as (service, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        client = Client(channel, alice)
        dataset_id = (await begin(client, source / "pets")).id
        for call in (
            client.finalize(dataset_id),
            puts.prepare(client, dataset_id, {"x": b"x"}),
            client.send(files_to(dataset_id, {"x": b"x"})),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert refusal(caught).reason == "INVALID_STATE_TRANSITION"
            assert "import" in refusal(caught).message
        # Nor is it abandoned, however long it has waited.
        await database.write(
            lambda session: DatasetRepository(session).update(dataset_id, update_time=now() - timedelta(hours=25))
        )
        assert await service.sweep_abandoned(timedelta(hours=24)) == []
        assert (await client.watch(dataset_id))[-1].dataset.state == READY


async def test_a_dataset_deleted_in_mid_import_leaves_nothing(
    database: Database, tmp_path: Path, source: Path, alice: Account
) -> None:
    write(source / "many", pets(train=20))
    slow = SlowWriters(tmp_path / "objects", 0.1)
    async with (
        serving(database, slow, import_rules=rules(source, tmp_path / "objects")) as (_, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        client = Client(channel, alice)
        dataset_id = (await begin(client, source / "many")).id
        await until(lambda: len([*slow.list("datasets/")]) > 0)
        await client.delete(dataset_id)
        assert [*slow.list("")] == []
    assert [*slow.list("")] == []


async def test_an_import_survives_a_kill_and_shows_its_files_as_they_come(
    database: Database, store: LocalObjectStore, source: Path, tmp_path: Path, alice: Account
) -> None:
    files = pets(train=40)
    write(source / "many", files)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, f"sqlite:///{tmp_path / 'gateway.db'}", str(tmp_path / "objects"), str(source),
        stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert process.stdout is not None
    address = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
    async with grpc.aio.insecure_channel(address) as channel:
        client = Client(channel, alice)
        dataset_id = (await begin(client, source / "many")).id
        watch = client.stub.WatchDataset(
            dataset_pb2.WatchDatasetRequest(dataset_id=dataset_id), metadata=alice.metadata, timeout=60
        )
        counts: list[int] = []
        async for update in watch:
            counts.append(update.dataset.file_count)
            if update.dataset.file_count:
                break
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    assert counts[0] == 0 and 0 < counts[-1] < len(files)
    before = await database.read(lambda session: DatasetRepository(session).all_files(dataset_id))
    # What was copied is not copied again: it may be gone from the source by now.
    (source / "many" / before[0].path).unlink()

    async with (
        serving(database, store, import_rules=rules(source, tmp_path / "objects")) as (_, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        ready = (await Client(channel, alice).watch(dataset_id))[-1].dataset
        assert (ready.state, ready.file_count) == (READY, len(files))
    recorded = {keys.dataset_file(dataset_id, path) for path in files}
    assert {info.key for info in store.list("datasets/")} == recorded


async def test_a_source_that_is_no_longer_allowed_ends_the_import(
    database: Database, tmp_path: Path, source: Path, store: LocalObjectStore, alice: Account
) -> None:
    slow = SlowWriters(tmp_path / "objects", 0.3)
    async with (
        serving(database, slow, import_rules=rules(source, tmp_path / "objects")) as (_, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        dataset_id = (await begin(Client(channel, alice), source / "pets")).id
    async with serving(database, store) as (_, address), grpc.aio.insecure_channel(address) as channel:
        failed = (await Client(channel, alice).watch(dataset_id))[-1].dataset
        assert (failed.state, failed.failure.reason) == (FAILED, "IMPORT_FAILED")


class AwayForAWhile(LocalObjectStore):
    """A store whose disk is full at first."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.refusals = 3

    def writer(self, key: str, *, size_bytes: int | None = None, sha256: str | None = None) -> Any:
        if self.refusals:
            self.refusals -= 1
            raise StoreUnavailable("no space left on device")
        return super().writer(key, size_bytes=size_bytes, sha256=sha256)


async def test_a_store_that_is_away_is_waited_for(
    database: Database, tmp_path: Path, source: Path, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.datasets.importer.RETRY_SECONDS", 0.1)
    store = AwayForAWhile(tmp_path / "objects")
    async with (
        serving(database, store, import_rules=rules(source, tmp_path / "objects")) as (_, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        assert (await imported(Client(channel, alice), source / "pets")).state == READY
    assert store.refusals == 0
