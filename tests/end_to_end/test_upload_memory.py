"""Fast clients and a slow store: what is on its way waits with the clients, not in the gateway's memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import s3_server
from tests.gateway_process import GatewayProcess
from tests.proxy import Proxy
from tests.s3_server import S3Server
from visionmesh.client import Patience
from visionmesh.v1 import dataset_pb2

MB = 1_000_000
# What a gateway at rest takes and what may be on its way lie below it; all that is uploaded lies far above.
MOST_BYTES = 300 * MB


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server.running(s3_server.nanio(), tmp_path_factory.mktemp("nanio")) as running:
        yield running


def sparse(folder: Path, files: int, size: int) -> Path:
    """Files of zeros, which take no room and no time to make."""
    folder.mkdir()
    for number in range(files):
        with (folder / f"{number:03}.bin").open("wb") as file:
            file.truncate(size)
    return folder


@pytest.mark.parametrize(("files", "size"), [(4, 130 * MB), (13, 40 * MB)], ids=["large files", "middling files"])
def test_half_a_gigabyte_to_a_slow_store_does_not_pile_up_in_the_gateway(
    server: S3Server, tmp_path: Path, files: int, size: int
) -> None:
    folder = sparse(tmp_path / "photos", files, size)
    bucket = server.new_bucket()
    with Proxy(server.port, bytes_per_second=40 * MB) as proxy:
        variables = {
            **server.environment(),
            "VISIONMESH_S3_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}",
            "VISIONMESH_S3_OUTAGE_SECONDS": "60",
        }
        with GatewayProcess(tmp_path / "gateway", VISIONMESH_OBJECT_STORE=f"s3://{bucket}", **variables) as gateway:
            with gateway.client() as client:
                spec = dataset_pb2.DATASET_FORMAT_IMAGE_FOLDER
                dataset = client.upload_folder(folder, format=spec, streams=4, patience=Patience(60))
                uploaded = client.get_dataset(dataset.id)
            assert (uploaded.file_count, uploaded.total_size_bytes) == (files, files * size)
            assert gateway.peak_bytes() < MOST_BYTES
