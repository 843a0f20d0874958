"""Uploads over connections that are cut and to gateways that are killed: complete in the end, without anyone's help."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.processes import until
from tests.gateway_process import GatewayProcess
from tests.proxy import Proxy
from visionmesh.client import Client, Patience, UploadProgress
from visionmesh.v1 import dataset_pb2

FORMAT = dataset_pb2.DATASET_FORMAT_IMAGE_FOLDER
FILES, FILE_BYTES = 60, 200_000


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path / "gateway") as running:
        yield running


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    chance = random.Random(1)
    return {f"{number % 3}/{number:03}.bin": chance.randbytes(FILE_BYTES) for number in range(FILES)}


@pytest.fixture
def folder(contents: dict[str, bytes], tmp_path: Path) -> Path:
    for path, data in contents.items():
        (tmp_path / "photos" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / path).write_bytes(data)
    return tmp_path / "photos"


def arrived(client: Client, dataset_id: str) -> dict[str, str]:
    return {file.path: file.sha256 for file in client.dataset_files(dataset_id)}


def digests(contents: dict[str, bytes]) -> dict[str, str]:
    return {path: hashlib.sha256(data).hexdigest() for path, data in contents.items()}


def test_a_connection_that_is_cut_again_and_again_costs_only_time(
    gateway: GatewayProcess, folder: Path, contents: dict[str, bytes]
) -> None:
    told: list[UploadProgress] = []
    with Proxy(gateway.port, cut_after=3_000_000, cuts=4) as proxy, gateway.client(proxy.port) as client:
        dataset = client.upload_folder(
            folder, format=FORMAT, streams=3, progress=told.append, patience=Patience(60, lambda error, seconds: None)
        )
        assert proxy.cuts_left == 0
        assert arrived(client, dataset.id) == digests(contents)
        assert len(list(client.datasets())) == 1
    # Of each round the progress begins with what was stored, and in the end it is all.
    assert told[-1].resumes >= 4
    assert (told[-1].files_done, told[-1].bytes_done) == (FILES, FILES * FILE_BYTES)
    begins = [next(item for item in told if item.resumes == number) for number in range(told[-1].resumes + 1)]
    assert [item.bytes_done for item in begins] == [item.files_done * FILE_BYTES for item in begins]
    assert all(item.bytes_done <= item.bytes_total for item in told)


def test_an_archive_over_a_connection_that_is_cut_arrives_whole(
    gateway: GatewayProcess, contents: dict[str, bytes], tmp_path: Path
) -> None:
    archive = tmp_path / "photos.tar"
    with tarfile.open(archive, "w") as packing:
        for path, data in contents.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            packing.addfile(info, io.BytesIO(data))
    with Proxy(gateway.port, cut_after=9_000_000, cuts=2) as proxy, gateway.client(proxy.port) as client:
        dataset = client.upload_folder(archive, format=FORMAT, patience=Patience(60))
        assert proxy.cuts_left == 0
        assert arrived(client, dataset.id) == digests(contents)


def command(gateway: GatewayProcess, port: int, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "VISIONMESH_ADDRESS": f"127.0.0.1:{port}", "VISIONMESH_TOKEN": gateway.token}
    words = [sys.executable, "-m", "visionmesh.cli.main", "datasets", "upload", "--format", "image_folder", *arguments]
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_gateway_that_is_killed_in_mid_upload_and_comes_back_gets_the_rest(
    gateway: GatewayProcess, folder: Path, contents: dict[str, bytes]
) -> None:
    # Slow enough that there is a middle.
    with Proxy(gateway.port, bytes_per_second=4_000_000) as proxy, gateway.client() as client:
        running = command(gateway, proxy.port, str(folder), "--no-wait", "--json")
        for share in (0.2, 0.5):
            until(lambda: any(dataset.file_count > FILES * share for dataset in client.datasets()))  # noqa: B023
            gateway.kill()
            gateway.start()
        out, err = running.communicate(timeout=120)
        assert running.returncode == 0, err
        dataset_id = json.loads(out)["dataset"]["id"]
        assert arrived(client, dataset_id) == digests(contents)
        assert [dataset.id for dataset in client.datasets()] == [dataset_id]
    objects = gateway.folder / "objects" / "datasets" / dataset_id
    assert {str(path.relative_to(objects)) for path in objects.rglob("*") if path.is_file()} == set(contents)


def test_a_gateway_that_stays_away_is_given_up_with_the_command_to_go_on(
    gateway: GatewayProcess, folder: Path, contents: dict[str, bytes]
) -> None:
    with Proxy(gateway.port, bytes_per_second=4_000_000) as proxy:
        with gateway.client() as client:
            running = command(gateway, proxy.port, str(folder), "--no-wait", "--give-up-after", "1")
            until(lambda: any(dataset.file_count > 5 for dataset in client.datasets()))
            gateway.kill()
        _, err = running.communicate(timeout=60)
        assert running.returncode == 5
        assert "given up after 1 s in which nothing got through" in err
        resume = err.split("--resume ")[1].split()[0]
        gateway.start()
        again = command(gateway, proxy.port, str(folder), "--no-wait", "--resume", resume)
        _, err = again.communicate(timeout=60)
        assert again.returncode == 0, err
        with gateway.client() as client:
            assert arrived(client, resume) == digests(contents)


def test_several_clients_fill_one_dataset_at_once(gateway: GatewayProcess, contents: dict[str, bytes]) -> None:
    """Streams over connections of their own, as machines that each hold a part would send them."""
    with gateway.client() as client:
        dataset = client.create_dataset(dataset_pb2.DatasetSpec(name="shared", format=FORMAT))
    wrong: list[BaseException] = []

    def send(part: dict[str, bytes]) -> None:
        def messages() -> Iterator[dataset_pb2.UploadFilesRequest]:
            yield dataset_pb2.UploadFilesRequest(dataset_id=dataset.id)
            for path, data in part.items():
                yield dataset_pb2.UploadFilesRequest(
                    header=dataset_pb2.FileHeader(
                        path=path, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest()
                    )
                )
                yield dataset_pb2.UploadFilesRequest(chunk=data)

        try:
            with gateway.client() as own:
                stream = own._datasets.UploadFiles(messages(), metadata=own._metadata)
                assert [answer.file.path for answer in stream] == list(part)
        except BaseException as error:
            wrong.append(error)

    parts = [dict(list(contents.items())[start::4]) for start in range(4)]
    threads = [threading.Thread(target=send, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    with gateway.client() as client:
        assert arrived(client, dataset.id) == digests(contents)
        found = client.get_dataset(dataset.id)
        assert (found.file_count, found.total_size_bytes) == (FILES, FILES * FILE_BYTES)
