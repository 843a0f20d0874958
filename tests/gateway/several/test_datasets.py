"""Datasets through two gateways over one PostgreSQL database and one store: nothing is done twice, nor spoilt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from gateway.datasets import service as service_module
from gateway.datasets.import_rules import ImportRules
from gateway.datasets.service import DatasetService
from storage.database.datasets import DatasetRepository
from storage.database.engine import Database
from storage.database.tables import now
from storage.objects import keys
from storage.objects.local import LocalObjectStore
from storage.objects.source import source_location
from tests.gateway.conftest import Account
from tests.gateway.datasets.conftest import Client, SlowStore, refusal, serving
from tests.gateway.datasets.pictures import files_to, header, pets, spec
from tests.gateway.waiting import until
from visionmesh.v1 import dataset_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")

READY = dataset_pb2.DATASET_STATE_READY
Message = dataset_pb2.UploadFilesRequest


class CountingStore(SlowStore):
    """A slow disk that counts what is read from it."""

    def __init__(self, root: Path, seconds: float = 0.0) -> None:
        super().__init__(root, seconds)
        self.reads = 0

    def get(self, key: str) -> bytes:
        self.reads += 1
        return super().get(key)


class End:
    """One gateway's datasets: the service, a client of it, and the store as this gateway sees it."""

    def __init__(self, database: Database, store: CountingStore, service: DatasetService, client: Client) -> None:
        self.database, self.store, self.service, self.client = database, store, service, client


class Ends:
    """Opens gateways' datasets over one database and one folder of objects."""

    def __init__(self, url: str, folder: Path, ada: Account) -> None:
        self.store = LocalObjectStore(folder / "objects")
        self._url, self._folder, self._account = url, folder, ada
        self._opened = AsyncExitStack()

    async def open(self, seconds: float = 0.0, stack: AsyncExitStack | None = None) -> End:
        """One more; ``seconds`` is what each read of its store takes. It lives as long as ``stack``."""
        stack = stack or self._opened
        database = Database(self._url, pool_size=3)
        stack.push_async_callback(database.close)
        store = CountingStore(self._folder / "objects", seconds)
        source = self._folder / "source"
        source.mkdir(exist_ok=True)
        rules = ImportRules([source_location(str(source))], str(self._folder / "objects"))
        serving_it = serving(database, store, work_folder=self._folder / "work", import_rules=rules)
        service, address = await stack.enter_async_context(serving_it)
        database.notices.start()
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
        await until(lambda: database.notices.listening)
        return End(database, store, service, Client(channel, self._account))

    async def close(self) -> None:
        await self._opened.aclose()


@pytest_asyncio.fixture(loop_scope="module")
async def ends(url: str, tmp_path: Path, ada: Account) -> AsyncIterator[Ends]:
    ends = Ends(url, tmp_path, ada)
    yield ends
    await ends.close()


async def test_a_dataset_takes_files_at_one_gateway_at_a_time(ends: Ends) -> None:
    a, b = await ends.open(), await ends.open()
    dataset_id = (await a.client.create(spec())).id
    files = pets()
    stream = a.client.stub.UploadFiles(metadata=a.client.metadata)
    await stream.write(Message(dataset_id=dataset_id))
    await stream.write(Message(header=header("train/cat/0.png", files["train/cat/0.png"])))
    await stream.write(Message(chunk=files["train/cat/0.png"]))
    await stream.read()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await b.client.send(files_to(dataset_id, {"train/cat/0.png": b"other bytes"}))
    error = refusal(caught)
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "UPLOAD_ELSEWHERE")
    assert error.metadata["dataset_id"] == dataset_id and error.retry_seconds
    # Through the same gateway any number of streams may add.
    rest = {path: data for path, data in files.items() if path != "train/cat/0.png"}
    first, *others = rest
    await a.client.send(files_to(dataset_id, {first: rest[first]}))
    # Nor is what arrives there taken for what a killed gateway left, or for abandoned.
    stray = keys.dataset_file(dataset_id, "train/cat/on-its-way.png")
    ends.store.put(stray, b"stored and not recorded yet")
    await b.service.recover()
    old = now() - timedelta(hours=25)
    await b.database.write(lambda session: DatasetRepository(session).update(dataset_id, update_time=old))
    assert await b.service.sweep_abandoned(timedelta(hours=24)) == []
    assert ends.store.stat(stray).size_bytes
    await stream.done_writing()
    assert await stream.read() == grpc.aio.EOF
    # As soon as the streams have ended, another gateway takes the rest.
    await b.client.send(files_to(dataset_id, {path: rest[path] for path in others}))
    await b.service.recover()
    assert not [info for info in ends.store.list(stray)]
    await b.client.finalize(dataset_id)
    assert (await a.client.watch(dataset_id))[-1].dataset.state == READY
    assert {file.path for file in (await a.client.files(dataset_id)).values()} == set(files)


async def test_an_analysis_runs_at_one_gateway_and_is_watched_at_both(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "WATCH_SECONDS", 600.0)  # only a notice wakes a watch
    a, b = await ends.open(seconds=0.3), await ends.open()
    dataset_id = await a.client.filled(pets())
    watching = [asyncio.create_task(end.client.watch(dataset_id)) for end in (a, b)]
    await a.client.finalize(dataset_id)
    await until(lambda: a.store.reads > 0, 20)
    for _ in range(5):
        await b.service.take_up()
        await asyncio.sleep(0.05)
    async with asyncio.timeout(30):
        told = await asyncio.gather(*watching)
    assert [answers[-1].dataset.state for answers in told] == [READY, READY]
    assert b.store.reads == 0


async def test_what_a_gateway_leaves_another_one_takes_up(ends: Ends) -> None:
    b = await ends.open()
    async with AsyncExitStack() as living:
        a = await ends.open(seconds=1.0, stack=living)
        dataset_id = await a.client.filled(pets())
        await a.client.finalize(dataset_id)
        await until(lambda: a.store.reads > 0, 20)
    left = await b.database.read(lambda session: DatasetRepository(session).get(dataset_id))
    assert left is not None and left.state == "ANALYZING"
    await b.service.take_up()
    assert (await b.client.watch(dataset_id))[-1].dataset.state == READY
    assert b.store.reads > 0


async def test_an_import_whose_dataset_is_deleted_at_another_gateway_leaves_nothing(ends: Ends, tmp_path: Path) -> None:
    a, b = await ends.open(), await ends.open()
    source = tmp_path / "source" / "pets"
    for path, data in pets(train=40).items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(data)
    request = dataset_pb2.ImportDatasetRequest(dataset=spec("imported"), prefix=str(source))
    dataset_id = (await a.client.stub.ImportDataset(request, metadata=a.client.metadata)).dataset.id
    await until(lambda: bool([*ends.store.list(keys.dataset_prefix(dataset_id))]), 20)
    await b.service.take_up()  # it is under way there: nothing is copied twice
    await b.client.delete(dataset_id)
    await until(lambda: not a.service._imports._importer._running, 20)
    assert [*ends.store.list(keys.dataset_prefix(dataset_id))] == []
