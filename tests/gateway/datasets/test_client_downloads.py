"""The Python client downloads from a real gateway, over connections that break."""

from __future__ import annotations

import asyncio
import random
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.datasets.service import DatasetService
from tests.gateway.conftest import Account
from tests.gateway.datasets.conftest import Client as Caller
from tests.gateway.datasets.cutting_proxy import CuttingProxy, cutting
from tests.gateway.datasets.pictures import pets, spec
from visionmesh.client import Client, Downloaded, DownloadProgress
from visionmesh.v1 import dataset_pb2

# More than the 200 KB at which the proxy cuts, in files smaller than that.
FILES = {**pets(train=5), **{f"train/cat/{n}.bin": random.Random(n).randbytes(90_000) for n in range(20)}}


@pytest.fixture
async def proxy(server: tuple[DatasetService, str]) -> AsyncIterator[CuttingProxy]:
    async with cutting(server[1]) as opened:
        yield opened


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_a_download_that_is_cut_goes_on_by_itself(
    ada: Caller, alice: Account, proxy: CuttingProxy, tmp_path: Path
) -> None:
    dataset = await ada.analysed(spec(), FILES)
    proxy.cuts = [300_000, 100, 300_000, 400_000]
    told: list[DownloadProgress] = []

    def bring() -> Downloaded:
        with Client(proxy.address, alice.token) as client:
            return client.download_dataset(dataset.id, tmp_path / "copy", progress=told.append)

    done = await asyncio.to_thread(bring)
    assert contents(tmp_path / "copy") == FILES
    assert (done.files, done.size_bytes) == (len(FILES), dataset.total_size_bytes)
    assert proxy.connections == 5
    # It never began again from the first file.
    steps = [item.files_done for item in told]
    assert steps == sorted(steps) and steps[-1] == len(FILES)


async def test_an_archive_that_is_cut_goes_on_and_is_the_one_that_was_not(
    ada: Caller, alice: Account, proxy: CuttingProxy, tmp_path: Path
) -> None:
    dataset = await ada.analysed(spec(), FILES)

    def bring(name: str) -> bytes:
        with Client(proxy.address, alice.token) as client:
            client.download_archive(dataset.id, tmp_path / name)
        return (tmp_path / name).read_bytes()

    proxy.cuts = [300_000, 100, 300_000, 400_000]
    cut = await asyncio.to_thread(bring, "cut.tar")
    assert proxy.connections == 5
    assert cut == await asyncio.to_thread(bring, "whole.tar")
    with tarfile.open(tmp_path / "cut.tar") as archive:
        assert archive.getnames() == sorted(FILES)


async def test_splits_and_prefixes_choose_a_part(
    ada: Caller, alice: Account, server: tuple[DatasetService, str], tmp_path: Path
) -> None:
    dataset = await ada.analysed(spec(), FILES)

    def bring() -> Downloaded:
        with Client(server[1], alice.token) as client:
            client.download_archive(dataset.id, tmp_path / "val.tar", splits=["val"])
            return client.download_dataset(dataset.id, tmp_path / "copy", splits=["train"], path_prefix="train/d")

    assert (await asyncio.to_thread(bring)).files == 5
    assert contents(tmp_path / "copy") == {path: FILES[path] for path in FILES if path.startswith("train/dog/")}
    with tarfile.open(tmp_path / "val.tar") as archive:
        assert archive.getnames() == ["val/cat/0.png", "val/dog/0.png"]


async def test_a_dataset_that_is_not_ready_is_refused_also_when_every_file_is_there(
    ada: Caller, alice: Account, server: tuple[DatasetService, str], tmp_path: Path
) -> None:
    dataset_id = await ada.filled({"train/cat/1.txt": b"there"})
    (tmp_path / "copy" / "train" / "cat").mkdir(parents=True)
    (tmp_path / "copy" / "train" / "cat" / "1.txt").write_bytes(b"there")

    def bring() -> str:
        with Client(server[1], alice.token) as client, pytest.raises(Exception) as caught:
            client.download_dataset(dataset_id, tmp_path / "copy")
        return str(caught.value)

    assert "DATASET_NOT_READY" in await asyncio.to_thread(bring)
    assert (await ada.get(dataset_id)).state == dataset_pb2.DATASET_STATE_UPLOADING
