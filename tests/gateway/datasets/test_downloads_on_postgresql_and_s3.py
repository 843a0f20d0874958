"""Downloads and previews from an S3 server and PostgreSQL."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest

from storage.database.engine import Database
from storage.database.migrate import migrate
from storage.objects import keys
from storage.objects.s3 import S3ObjectStore
from tests import postgresql_server, s3_server
from tests.gateway.calls import refused
from tests.gateway.conftest import make_account
from tests.gateway.datasets.conftest import Client, serving
from tests.gateway.datasets.pictures import pets, spec
from tests.s3_server import S3Server
from visionmesh.v1 import dataset_pb2

# Names that PostgreSQL's own order and that of code points sort differently, and a file of several reads.
FILES = {
    **pets(),
    "train/cat/Ä.txt": b"1",
    "train/cat/a.txt": b"2",
    "train/cat/Z.txt": b"3",
    "train/dog/large.bin": random.Random(1).randbytes(3_000_000),
}


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server.running(s3_server.nanio(), tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def bucket(s3: S3Server) -> S3ObjectStore:
    return s3.new_store()


@pytest.fixture
async def cleo(bucket: S3ObjectStore) -> AsyncIterator[Client]:
    with postgresql_server.running() as server:
        url = server.new_database()
        migrate(url)
        database = Database(url)
        account = await make_account(database, "cleo")
        async with serving(database, bucket) as (_, address), grpc.aio.insecure_channel(address) as channel:
            yield Client(channel, account)
        await database.close()


async def download(client: Client, dataset_id: str, **fields: object) -> dict[str, bytes]:
    request = dataset_pb2.DownloadDatasetRequest(dataset_id=dataset_id, **fields)  # type: ignore[arg-type]
    stream = client.stub.DownloadDataset(request, metadata=client.metadata, timeout=60)
    data = b"".join([answer.chunk async for answer in stream])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]


async def test_a_dataset_is_downloaded_looked_at_and_deleted(cleo: Client, bucket: S3ObjectStore) -> None:
    dataset = await cleo.analysed(spec(), FILES)
    assert [*(found := await download(cleo, dataset.id))] == sorted(FILES)
    assert found == FILES
    rest = await download(cleo, dataset.id, after_path="train/cat/a.txt", splits=[])
    assert [*rest] == [path for path in sorted(FILES) if path > "train/cat/a.txt"]
    sheet = dataset_pb2.GetDatasetPreviewRequest(dataset_id=dataset.id, image_count=4)
    shown = await cleo.stub.GetDatasetPreview(sheet, metadata=cleo.metadata, timeout=60)
    assert len(shown.paths) == 4
    bucket.put(keys.dataset_file(dataset.id, "train/dog/large.bin"), FILES["train/dog/large.bin"][:-1] + b"!")
    assert (await refused(download(cleo, dataset.id))).reason == "STORAGE_CORRUPT"
    await cleo.delete(dataset.id)
    assert [*bucket.list("")] == []
