"""A real DatasetService over gRPC, SQLite and a folder of objects."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.access import AuthInterceptor
from gateway.datasets.archives.rules import ArchiveLimits
from gateway.datasets.inventory import UploadLimits
from gateway.datasets.service import DatasetService
from gateway.datasets.servicer import DatasetServicer
from gateway.outages import explain
from rpc.interceptors import ErrorInterceptor
from rpc.server import create_server
from storage.database.engine import Database
from storage.objects.local import LocalObjectStore
from storage.objects.store import ObjectStore
from tests.gateway.calls import told_why
from tests.gateway.conftest import Account
from tests.gateway.datasets.pictures import Files, files_to, spec, whole
from visionmesh.errors import VisionMeshError, from_rpc
from visionmesh.v1 import dataset_pb2, dataset_service_pb2_grpc

LIMITS = UploadLimits(
    max_files=100,
    max_file_bytes=4 << 20,
    max_dataset_bytes=8 << 20,
    archives=ArchiveLimits(max_entries=50, max_unpacked_bytes=7 << 20, max_depth=8),
)


class SlowStore(LocalObjectStore):
    """A store on a slow disk: each ``get`` takes its time, so an analysis is still under way when a test acts."""

    def __init__(self, root: Path, seconds: float) -> None:
        super().__init__(root)
        self._seconds = seconds

    def get(self, key: str) -> bytes:
        time.sleep(self._seconds)
        return super().get(key)


@asynccontextmanager
async def serving(database: Database, store: ObjectStore, **options: Any) -> AsyncIterator[tuple[DatasetService, str]]:
    """A started service and the address of its server; ``options`` are the service's."""
    options = {"max_image_pixels": 10_000, "limits": LIMITS, "analysis_threads": 2, **options}
    service = DatasetService(database, store, **options)
    await service.start()
    add = partial(dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server, DatasetServicer(service))
    served = create_server(
        [("visionmesh.v1.DatasetService", add)],
        interceptors=[ErrorInterceptor(explain), AuthInterceptor(database)],
        max_message_bytes=32 << 20,
    )
    port = served.server.add_insecure_port("127.0.0.1:0")
    await served.serve()
    yield service, f"127.0.0.1:{port}"
    await served.drain(0)
    await service.close()


class Client:
    """One account's calls."""

    def __init__(self, channel: grpc.aio.Channel, account: Account) -> None:
        self.stub: dataset_service_pb2_grpc.DatasetServiceAsyncStub = dataset_service_pb2_grpc.DatasetServiceStub(
            channel
        )
        self.metadata = account.metadata

    async def create(self, what: dataset_pb2.DatasetSpec | None = None, request_id: str = "") -> dataset_pb2.Dataset:
        request = dataset_pb2.CreateDatasetRequest(dataset=what or spec(), request_id=request_id)
        return (await self.stub.CreateDataset(request, metadata=self.metadata)).dataset

    async def send(self, messages: Iterable[dataset_pb2.UploadFilesRequest]) -> list[dataset_pb2.DatasetFile]:
        """The acknowledged files of an UploadFiles call."""

        async def call(requests: AsyncIterator[dataset_pb2.UploadFilesRequest]) -> list[dataset_pb2.DatasetFile]:
            return [answer.file async for answer in self.stub.UploadFiles(requests, metadata=self.metadata)]

        return await told_why(call, messages)

    async def upload(self, what: dataset_pb2.DatasetSpec, files: Files) -> dataset_pb2.Dataset:
        return await self.send_whole(whole(what, files))

    async def send_whole(self, messages: Iterable[dataset_pb2.UploadDatasetRequest]) -> dataset_pb2.Dataset:
        """The dataset of an UploadDataset call."""

        async def call(requests: AsyncIterator[dataset_pb2.UploadDatasetRequest]) -> dataset_pb2.Dataset:
            return (await self.stub.UploadDataset(requests, metadata=self.metadata)).dataset

        return await told_why(call, messages)

    async def finalize(self, dataset_id: str) -> dataset_pb2.Dataset:
        request = dataset_pb2.FinalizeDatasetRequest(dataset_id=dataset_id)
        return (await self.stub.FinalizeDataset(request, metadata=self.metadata)).dataset

    async def watch(self, dataset_id: str) -> list[dataset_pb2.WatchDatasetResponse]:
        """All that a watch says until it ends."""
        request = dataset_pb2.WatchDatasetRequest(dataset_id=dataset_id)
        return [answer async for answer in self.stub.WatchDataset(request, metadata=self.metadata, timeout=30)]

    async def analysed(self, what: dataset_pb2.DatasetSpec, files: Files) -> dataset_pb2.Dataset:
        """A dataset uploaded in one stream, READY or FAILED."""
        return (await self.watch((await self.upload(what, files)).id))[-1].dataset

    async def get(self, dataset_id: str) -> dataset_pb2.Dataset:
        request = dataset_pb2.GetDatasetRequest(dataset_id=dataset_id)
        return (await self.stub.GetDataset(request, metadata=self.metadata)).dataset

    async def statistics(self, dataset_id: str) -> dataset_pb2.DatasetStatistics:
        request = dataset_pb2.GetDatasetRequest(dataset_id=dataset_id)
        return (await self.stub.GetDataset(request, metadata=self.metadata)).statistics

    async def delete(self, dataset_id: str) -> None:
        await self.stub.DeleteDataset(dataset_pb2.DeleteDatasetRequest(dataset_id=dataset_id), metadata=self.metadata)

    async def listing(self, **fields: object) -> dataset_pb2.ListDatasetsResponse:
        request = dataset_pb2.ListDatasetsRequest(**fields)  # type: ignore[arg-type]
        return await self.stub.ListDatasets(request, metadata=self.metadata)

    async def files(self, dataset_id: str) -> dict[str, dataset_pb2.DatasetFile]:
        request = dataset_pb2.ListDatasetFilesRequest(dataset_id=dataset_id, page_size=1000)
        answer = await self.stub.ListDatasetFiles(request, metadata=self.metadata)
        return {file.path: file for file in answer.files}

    async def problems(self, dataset_id: str) -> list[dataset_pb2.DatasetProblem]:
        request = dataset_pb2.ListDatasetProblemsRequest(dataset_id=dataset_id, page_size=1000)
        return [*(await self.stub.ListDatasetProblems(request, metadata=self.metadata)).problems]

    async def filled(self, files: Files, what: dataset_pb2.DatasetSpec | None = None) -> str:
        """The id of a dataset that is UPLOADING and holds these files."""
        dataset = await self.create(what)
        await self.send(files_to(dataset.id, files))
        return dataset.id


def refusal(caught: pytest.ExceptionInfo[grpc.aio.AioRpcError]) -> VisionMeshError:
    """What a refused call said."""
    return from_rpc(caught.value)


@pytest.fixture
def store(tmp_path: Path) -> LocalObjectStore:
    return LocalObjectStore(tmp_path / "objects")


@pytest.fixture
async def server(database: Database, store: LocalObjectStore) -> AsyncIterator[tuple[DatasetService, str]]:
    async with serving(database, store) as served:
        yield served


@pytest.fixture
async def channel(server: tuple[DatasetService, str]) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(server[1]) as opened:
        yield opened


@pytest.fixture
def ada(channel: grpc.aio.Channel, alice: Account) -> Client:
    return Client(channel, alice)


@pytest.fixture
def ben(channel: grpc.aio.Channel, bob: Account) -> Client:
    return Client(channel, bob)
