"""The Python client and the command, uploading past a real gateway to a real S3 server."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from storage.database.engine import Database
from storage.objects import keys
from storage.objects.s3 import S3ObjectStore
from tests import s3_server
from tests.gateway.conftest import Account
from tests.gateway.datasets.conftest import serving
from tests.gateway.datasets.pictures import pets
from tests.gateway.datasets.test_imports import rules, write
from tests.s3_server import S3Server
from visionmesh.calls import puts
from visionmesh.calls.folder import LocalFile
from visionmesh.cli.main import main
from visionmesh.client import Client, FolderError, UploadProgress, VisionMeshError
from visionmesh.v1 import dataset_pb2

READY = dataset_pb2.DATASET_STATE_READY


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3Server]:
    """A server of its own for each test: some stop it."""
    with s3_server.running(s3_server.nanio(), tmp_path / "nanio") as running:
        yield running


@pytest.fixture
def bucket(s3: S3Server) -> S3ObjectStore:
    return s3.new_store()


@pytest.fixture
async def address(database: Database, bucket: S3ObjectStore, folder: Path) -> AsyncIterator[str]:
    async with serving(database, bucket, upload_url_seconds=2, import_rules=rules(folder.parent, "")) as (_, served):
        yield served


@pytest.fixture
def client(address: str, alice: Account) -> Iterator[Client]:
    with Client(address, alice.token) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(
        tmp_path / "sources" / "pets", {**pets(train=10), "train/cat/ä +%.png": pets()["val/cat/0.png"], "empty": b""}
    )
    return tmp_path / "sources" / "pets"


async def uploaded(client: Client, folder: Path, **options: object) -> dataset_pb2.Dataset:
    """The dataset of a folder, analysed."""

    def work() -> dataset_pb2.Dataset:
        started = client.upload_folder(folder, direct=True, **options)  # type: ignore[arg-type]
        return client.wait_for_dataset(started.id)

    return await asyncio.to_thread(work)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


async def test_a_folder_goes_straight_to_the_store(client: Client, folder: Path, bucket: S3ObjectStore) -> None:
    told: list[UploadProgress] = []
    dataset = await uploaded(client, folder, progress=told.append)
    files = contents(folder)
    assert (dataset.state, dataset.file_count) == (READY, len(files))
    assert all(bucket.get(keys.dataset_file(dataset.id, path)) == data for path, data in files.items())
    total = sum(map(len, files.values()))
    assert told[-1] == UploadProgress(len(files), len(files), total, total)
    assert [progress.files_done for progress in told] == sorted(progress.files_done for progress in told)


async def test_an_upload_that_broke_off_goes_on_with_what_is_missing(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = puts.Putter.put
    sent: list[str] = []
    first = threading.Event()

    def break_one(self: puts.Putter, file: LocalFile, *more: object) -> None:
        if file.path == "val/dog/0.png" and not first.is_set():
            first.set()
            raise FolderError("the machine was switched off")
        real(self, file, *more)  # type: ignore[arg-type]
        sent.append(file.path)

    monkeypatch.setattr(puts.Putter, "put", break_one)
    created: list[str] = []
    with pytest.raises(FolderError):
        await uploaded(client, folder, on_created=lambda dataset: created.append(dataset.id))
    dataset = await uploaded(client, folder, resume=created[0])
    assert dataset.state == READY
    assert len(sent) == len(set(sent)) == dataset.file_count


async def test_urls_that_expired_are_asked_for_anew(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = puts.Putter.put
    answers: list[str] = []
    first = threading.Event()

    def late(self: puts.Putter, file: LocalFile, *more: object) -> None:
        if not first.is_set():
            time.sleep(4)  # longer than URLs live
            first.set()
        try:
            real(self, file, *more)  # type: ignore[arg-type]
        except puts.PutFailed as error:
            answers.append(str(error))
            raise

    monkeypatch.setattr(puts.Putter, "put", late)
    assert (await uploaded(client, folder)).state == READY
    assert any("403" in answer and "expired" in answer for answer in answers)


async def test_a_store_that_is_away_is_waited_for(client: Client, folder: Path, s3: S3Server) -> None:
    created: list[str] = []

    def stop(dataset: dataset_pb2.Dataset) -> None:
        created.append(dataset.id)
        s3.stop()
        threading.Timer(1.5, s3.start).start()

    assert (await uploaded(client, folder, on_created=stop)).state == READY


async def test_a_refusal_is_told_as_the_store_said_it(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsigned(self: puts.Putter, file: LocalFile, upload: dataset_pb2.PresignedUpload, *more: object) -> None:
        del upload.headers["x-amz-checksum-sha256"]
        real(self, file, upload, *more)  # type: ignore[arg-type]

    real = puts.Putter.put
    monkeypatch.setattr(puts.Putter, "put", unsigned)
    with pytest.raises(VisionMeshError, match="SignatureDoesNotMatch"):
        await uploaded(client, folder)


async def test_a_file_that_changes_while_it_is_sent_is_named(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def grown(self: puts.Putter, file: LocalFile, *more: object) -> None:
        if file.path == "train/dog/3.png":
            with file.source.open("ab") as opened:
                opened.write(b"more")
        real(self, file, *more)  # type: ignore[arg-type]

    real = puts.Putter.put
    monkeypatch.setattr(puts.Putter, "put", grown)
    with pytest.raises(FolderError, match=r"train/dog/3\.png has changed"):
        await uploaded(client, folder)


async def test_the_command_uploads_directly_and_imports(
    address: str, alice: Account, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        code = main(["--address", address, "--token", alice.token, "datasets", *arguments])
        return code, capsys.readouterr().out  # the gateway's log comes first, for it shares the process

    code, out = await asyncio.to_thread(run, "upload", str(folder), "--direct", "--json")
    assert code == 0
    assert json.loads(out.splitlines()[-1])["dataset"]["state"] == "DATASET_STATE_READY"
    code, out = await asyncio.to_thread(run, "import", str(folder), "--name", "imported", "--format", "dice")
    assert code == 0
    assert "imported" in out and f"{folder}/" in out.replace("\n", "")
    code, out = await asyncio.to_thread(run, "import", f"{folder}/train/cat", "--json")
    assert code != 0
    assert json.loads(out.splitlines()[-1])["dataset"]["name"] == "cat"
