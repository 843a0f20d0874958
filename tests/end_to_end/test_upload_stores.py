"""Stores that fail under an upload: full in the middle of a file, or away; and clients that go with them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests import s3_server
from tests.end_to_end.processes import until
from tests.end_to_end.refusals import Code, Part, Raw, file, header, refused
from tests.gateway_process import GatewayProcess
from tests.proxy import Proxy
from visionmesh.v1 import dataset_pb2

SPEC = dataset_pb2.DatasetSpec(name="photos", format=dataset_pb2.DATASET_FORMAT_IMAGE_FOLDER)
MIB = 1 << 20
LARGE = bytes(range(256)) * (20 * 4096)  # three parts


def chunks(data: bytes) -> list[bytes]:
    return [data[start : start + MIB] for start in range(0, len(data), MIB)]


def test_a_store_that_goes_away_in_mid_upload_keeps_what_was_acknowledged_and_takes_the_rest_when_it_is_back(
    tmp_path: Path,
) -> None:
    with s3_server.running(s3_server.nanio(), tmp_path / "s3") as server:
        bucket = server.new_bucket()
        variables = {**server.environment(), "VISIONMESH_OBJECT_STORE": f"s3://{bucket}"}
        with GatewayProcess(tmp_path / "gateway", **variables) as gateway, gateway.client() as client:
            raw = Raw(gateway.address, gateway.token)
            dataset = client.create_dataset(SPEC)
            raw.upload_files(dataset.id, file("a/1.bin", b"one"))
            server.stop()
            error = refused(
                lambda: raw.upload_files(dataset.id, [header("a/large.bin", LARGE), *chunks(LARGE)]),
                Code.UNAVAILABLE,
                "OBJECT_STORE_UNAVAILABLE",
            )
            assert error.retry_seconds
            refused(
                lambda: raw.upload_dataset(SPEC, file("a/2.bin", b"two")), Code.UNAVAILABLE, "OBJECT_STORE_UNAVAILABLE"
            )
            server.start()
            assert [item.path for item in client.dataset_files(dataset.id)] == ["a/1.bin"]
            assert [item.id for item in client.datasets()] == [dataset.id]
            parts: list[Part] = [header("a/large.bin", LARGE), *chunks(LARGE)]
            [stored] = raw.upload_files(dataset.id, parts)
            assert stored.sha256 == hashlib.sha256(LARGE).hexdigest()
            keys = [item["Key"] for item in server.client().list_objects_v2(Bucket=bucket)["Contents"]]
            assert keys == [f"datasets/{dataset.id}/a/1.bin", f"datasets/{dataset.id}/a/large.bin"]
            raw.channel.close()


def test_a_client_that_vanishes_in_mid_file_leaves_no_part_of_it_in_the_bucket(tmp_path: Path) -> None:
    with s3_server.running(s3_server.nanio(), tmp_path / "s3") as server:
        bucket = server.new_bucket()
        variables = {**server.environment(), "VISIONMESH_OBJECT_STORE": f"s3://{bucket}"}
        with GatewayProcess(tmp_path / "gateway", **variables) as gateway, gateway.client() as client:
            dataset = client.create_dataset(SPEC)
            s3 = server.client()
            with Proxy(gateway.port) as proxy:
                raw = Raw(f"127.0.0.1:{proxy.port}", gateway.token)

                def messages() -> Iterator[dataset_pb2.UploadFilesRequest]:
                    yield dataset_pb2.UploadFilesRequest(dataset_id=dataset.id)
                    yield dataset_pb2.UploadFilesRequest(header=header("a/large.bin", LARGE))
                    for chunk in chunks(LARGE)[:-1]:
                        yield dataset_pb2.UploadFilesRequest(chunk=chunk)
                    until(lambda: s3.list_multipart_uploads(Bucket=bucket).get("Uploads"))
                    proxy.cut()

                with pytest.raises(grpc.RpcError):
                    list(raw.datasets.UploadFiles(messages(), metadata=raw.metadata))
                raw.channel.close()
            until(lambda: not s3.list_multipart_uploads(Bucket=bucket).get("Uploads"))
            assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
            # The path is free again.
            direct = Raw(gateway.address, gateway.token)
            assert direct.upload_files(dataset.id, file("a/large.bin", b"now"))[0].size_bytes == 3
            direct.channel.close()


def test_a_disk_that_is_full_in_mid_file_refuses_it_and_keeps_the_others(tmp_path: Path) -> None:
    # No disk of a test can be filled, but a process may be told that no file may grow beyond so much.
    with GatewayProcess(tmp_path / "gateway") as gateway, gateway.client() as client:
        dataset = client.create_dataset(SPEC)
        raw = Raw(gateway.address, gateway.token)
        raw.upload_files(dataset.id, file("a/1.bin", b"one"))
        gateway.limit_file_size(10 * MIB)
        parts = [*file("a/2.bin", b"two"), header("a/large.bin", LARGE), *chunks(LARGE)]
        refused(lambda: raw.upload_files(dataset.id, parts), Code.UNAVAILABLE, "OBJECT_STORE_UNAVAILABLE")
        gateway.limit_file_size(None)
        assert [item.path for item in client.dataset_files(dataset.id)] == ["a/1.bin", "a/2.bin"]
        objects = gateway.folder / "objects"
        until(lambda: not any((objects / ".incoming").iterdir()))
        assert raw.upload_files(dataset.id, parts[2:])[0].size_bytes == len(LARGE)
        raw.channel.close()
