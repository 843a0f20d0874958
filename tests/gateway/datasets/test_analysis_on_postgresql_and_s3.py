"""Analyses on PostgreSQL and S3, over HTTP, as a team runs them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest

from annotations.document import read_images
from storage.database.engine import Database
from storage.database.migrate import migrate
from storage.objects import keys
from storage.objects.manifest import Manifest, digest
from storage.objects.s3 import S3ObjectStore
from tests import postgresql_server, s3_server
from tests.gateway.conftest import make_account
from tests.gateway.datasets import annotated
from tests.gateway.datasets.annotated import CLASS_DISTRIBUTION, FORMATS
from tests.gateway.datasets.conftest import Client, serving
from tests.gateway.datasets.pictures import files_to, pets, spec
from visionmesh.v1 import dataset_pb2

READY = dataset_pb2.DATASET_STATE_READY
FAILED = dataset_pb2.DATASET_STATE_FAILED


@pytest.fixture(scope="module")
def postgresql_url() -> Iterator[str]:
    with postgresql_server.running() as server:
        url = server.new_database()
        migrate(url)
        yield url


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3ObjectStore]:
    with s3_server.running(s3_server.nanio(), tmp_path_factory.mktemp("s3")) as server:
        yield server.new_store()


@pytest.fixture
async def team(postgresql_url: str, bucket: S3ObjectStore, tmp_path: Path) -> AsyncIterator[Client]:
    database = Database(postgresql_url)
    account = await make_account(database, tmp_path.name)
    async with (
        serving(database, bucket, work_folder=tmp_path / "work") as (_, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield Client(channel, account)
    await database.close()


@pytest.mark.parametrize("format", FORMATS)
async def test_objects_of_every_format_are_ready_there_too(
    team: Client, bucket: S3ObjectStore, tmp_path: Path, format: int
) -> None:
    dataset = await team.analysed(spec(format=format), FORMATS[format]())
    assert dataset.state == READY, await team.problems(dataset.id)
    found = {split: dict(classes.images) for split, classes in dataset.class_distribution.items()}
    assert (found, dataset.object_count) == (CLASS_DISTRIBUTION, 9)
    data = bucket.get(keys.manifest(dataset.id))
    assert digest(data) == dataset.manifest_digest
    annotations = Manifest.from_bytes(data).annotations
    assert annotations is not None
    bucket.get_file(keys.dataset_annotations(dataset.id), tmp_path / "document", sha256=annotations.sha256)
    assert sum(len(image.objects) for image in read_images(tmp_path / "document")) == 9
    assert dict((await team.statistics(dataset.id)).images) == {"train": 4, "val": 2, "test": 1}
    await team.delete(dataset.id)
    assert not [info.key for info in bucket.list("") if dataset.id in info.key]


async def test_names_and_texts_that_databases_dislike_do_no_harm(team: Client) -> None:
    files = annotated.dice(classes=["nul \0", "lone"])
    files["annotations.json"] = files["annotations.json"].replace(b'"lone"', b'"\\ud800"')
    files["annotations.json"] = files["annotations.json"].replace(b"images/4.png", b"images/" + b"x" * 3000)
    dataset = await team.analysed(spec(format=dataset_pb2.DATASET_FORMAT_DICE), files)
    assert dataset.failure.reason != "INTERNAL"
    for problem in await team.problems(dataset.id):
        assert "\0" not in problem.message + problem.path and len(problem.path) <= 1024


async def test_a_failed_dataset_is_repaired_there_too(team: Client) -> None:
    files = pets()
    dataset_id = await team.filled({"train/cat/0.png": files.pop("train/cat/0.png")})
    await team.finalize(dataset_id)
    assert (await team.watch(dataset_id))[-1].dataset.state == FAILED
    await team.send(files_to(dataset_id, files))
    await team.finalize(dataset_id)
    assert (await team.watch(dataset_id))[-1].dataset.state == READY
