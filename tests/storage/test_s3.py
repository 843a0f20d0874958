"""What only S3 has: parts, connections that break, keys and buckets that are refused, servers that go away."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from storage.objects.digest import sha256_bytes
from storage.objects.errors import InvalidKey, ObjectMismatch, StoreUnavailable
from storage.objects.open import open_store
from storage.objects.s3 import S3ObjectStore
from storage.objects.s3_calls import LONGEST_PAUSE_SECONDS
from storage.objects.s3_settings import S3Settings
from tests import s3_server
from tests.s3_server import SECRET_ACCESS_KEY, S3Server

MIB = 1 << 20
PART = 5 * MIB


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server.running(s3_server.nanio(), tmp_path_factory.mktemp("nanio")) as running:
        yield running


@pytest.fixture
def bucket(server: S3Server) -> str:
    return server.new_bucket()


def data(size: int) -> bytes:
    """Bytes that differ from part to part."""
    return b"".join(number.to_bytes(4, "big") for number in range(-(-size // 4)))[:size]


def uploads(server: S3Server, bucket: str) -> list[Any]:
    return list(server.client().list_multipart_uploads(Bucket=bucket).get("Uploads", []))


def test_large_objects_go_in_equal_parts_and_come_back_over_several_connections(tmp_path: Path) -> None:
    with s3_server.running(s3_server.moto(), tmp_path / "moto") as server:
        bucket = server.new_bucket()
        store = S3ObjectStore(bucket, "p/", server.settings())
        for size in (PART, PART + 1, 3 * PART, 3 * PART + 17):
            content = data(size)
            with store.writer("key", size_bytes=size) as writer:
                for start in range(0, size, MIB + 1):
                    writer.write(content[start : start + MIB + 1])
                assert writer.commit().sha256 == sha256_bytes(content)
            store.get_file("key", tmp_path / "file", sha256=sha256_bytes(content))
            assert (tmp_path / "file").read_bytes() == content
            assert b"".join(store.read("key")) == content
            parts = server.client().head_object(Bucket=bucket, Key="p/key", PartNumber=1)
            assert parts["ContentLength"] == min(size, PART)
            # Amazon's entity tag tells the number of parts.
            suffix = server.client().head_object(Bucket=bucket, Key="p/key")["ETag"].strip('"').partition("-")[2]
            assert suffix == ("" if size <= PART else str(-(-size // PART)))


def test_an_aborted_upload_leaves_no_parts(server: S3Server, bucket: str) -> None:
    store = S3ObjectStore(bucket, "", server.settings())
    content = data(3 * PART)
    with store.writer("key", sha256=sha256_bytes(b"other")) as writer:
        writer.write(content)
        with pytest.raises(ObjectMismatch):
            writer.commit()
    with store.writer("key") as writer:
        writer.write(content)
    assert uploads(server, bucket) == []
    assert list(store.list("")) == []


def test_the_digest_is_kept_where_it_was_known(server: S3Server, bucket: str) -> None:
    store = S3ObjectStore(bucket, "", server.settings())
    assert store.put("small", b"x").sha256 == store.stat("small").sha256 == sha256_bytes(b"x")
    content = data(2 * PART)
    with store.writer("large", sha256=sha256_bytes(content)) as writer:
        writer.write(content)
        writer.commit()
    assert store.stat("large").sha256 == sha256_bytes(content)


def test_bytes_that_were_swapped_or_cut_in_the_bucket_are_found(server: S3Server, bucket: str, tmp_path: Path) -> None:
    store = S3ObjectStore(bucket, "", server.settings())
    content = data(2 * PART)
    store.put("key", content)
    for wrong in (content[:-1], bytes(len(content)), b""):
        server.client().put_object(Bucket=bucket, Key="key", Body=wrong)
        with pytest.raises(ObjectMismatch, match=sha256_bytes(content)):
            store.get_file("key", tmp_path / "file", sha256=sha256_bytes(content))
        assert list(tmp_path.iterdir()) == []


def test_nothing_outside_the_prefix_is_seen_or_touched(server: S3Server, bucket: str) -> None:
    server.client().put_object(Bucket=bucket, Key="other/x", Body=b"x")
    store = S3ObjectStore(bucket, "mine/", server.settings())
    store.put("x", b"y")
    assert [info.key for info in store.list("")] == ["x"]
    store.delete_prefix("x/")
    store.delete("x")
    assert server.client().list_objects_v2(Bucket=bucket)["KeyCount"] == 1


def test_a_prefix_of_many_objects_is_deleted(server: S3Server, bucket: str) -> None:
    store = S3ObjectStore(bucket, "", server.settings())
    for number in range(30):
        store.put(f"datasets/d1/{number}", b"x")
    store.put("datasets/d10/x", b"x")
    store.delete_prefix("datasets/d1/")
    assert [info.key for info in store.list("")] == ["datasets/d10/x"]


def test_a_key_that_is_too_long_for_s3_is_refused(server: S3Server, bucket: str) -> None:
    store = S3ObjectStore(bucket, "", server.settings())
    with pytest.raises(InvalidKey, match="too long"):
        store.put("/".join(["x" * 200] * 6), b"x")


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"access_key_id": "nobody"}, "does not know the access key"),
        ({"secret_access_key": SecretStr("wrong")}, "the secret is wrong"),
        ({"endpoint_url": "nonsense"}, "cannot be used"),
        ({"secret_access_key": None, "secret_access_key_file": Path("/does/not/exist")}, "cannot be read"),
    ],
)
def test_wrong_settings_are_named_and_secrets_are_not(
    server: S3Server, bucket: str, changes: dict[str, Any], advice: str
) -> None:
    with pytest.raises(StoreUnavailable, match=advice) as caught:
        S3ObjectStore(bucket, "", server.settings(**changes))
    assert s3_server.SECRET_ACCESS_KEY not in str(caught.value) and "wrong'" not in str(caught.value)


def test_a_bucket_that_does_not_exist_is_named(server: S3Server) -> None:
    with pytest.raises(StoreUnavailable, match="'nothing-here': it does not exist"):
        open_store("s3://nothing-here/prefix", server.settings())


def test_a_secret_may_come_from_a_file(server: S3Server, bucket: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{s3_server.SECRET_ACCESS_KEY}\n")
    settings = server.settings(secret_access_key=None, secret_access_key_file=file)
    assert open_store(f"s3://{bucket}/some/prefix/", settings).put("x", b"x").size_bytes == 1


def test_settings_come_from_the_environment(server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    assert open_store(f"s3://{bucket}").put("x", b"x").size_bytes == 1
    monkeypatch.delenv("VISIONMESH_S3_SECRET_ACCESS_KEY")
    with pytest.raises(ValidationError, match="go together"):
        open_store(f"s3://{bucket}")


@pytest.mark.parametrize("location", ["s3://", "s3:///prefix", "s3://bucket/a/../b", "s3://bucket/a//b"])
def test_a_location_that_is_none_is_refused(location: str) -> None:
    with pytest.raises(StoreUnavailable, match="is not s3://bucket"):
        open_store(location, S3Settings())


def test_a_server_that_is_away_makes_the_store_unavailable_and_back_it_serves(tmp_path: Path) -> None:
    with s3_server.running(s3_server.nanio(), tmp_path / "nanio") as server:
        store = server.new_store()
        store.put("before", b"x")
        large = store.writer("large")
        large.write(data(2 * PART))
        server.stop()
        for call in (lambda: store.put("x", b"x"), lambda: store.get("before"), lambda: list(store.list(""))):
            with pytest.raises(StoreUnavailable):
                call()
        with pytest.raises(StoreUnavailable):
            large.commit()
        with pytest.raises(ValueError):
            large.commit()
        server.start()
        assert store.get("before") == b"x"
        assert [info.key for info in store.list("")] == ["before"]


def test_an_outage_in_mid_upload_and_in_mid_download_costs_only_time(tmp_path: Path) -> None:
    with s3_server.running(s3_server.nanio(), tmp_path / "nanio") as server:
        settings = server.settings(outage_seconds=30.0)
        store = S3ObjectStore(server.new_bucket(), "", settings)
        content = data(4 * PART + 1)
        with store.writer("key", size_bytes=len(content), sha256=sha256_bytes(content)) as writer:
            writer.write(content[: 2 * PART])
            with away(server):
                writer.write(content[2 * PART :])
                writer.commit()
        # In one connection, and in several parts at once.
        reading = store.read("key")
        read = bytearray(next(reading))
        with away(server):
            for chunk in reading:
                read += chunk
        assert bytes(read) == content
        with away(server):
            store.get_file("key", tmp_path / "file", sha256=sha256_bytes(content))
        assert (tmp_path / "file").read_bytes() == content
        with away(server):
            assert [info.key for info in store.list("")] == ["key"]


def test_half_a_minute_is_waited_out_by_default() -> None:
    settings = S3Settings()
    # A pause that just began when the server came back included.
    assert settings.s3_outage_seconds >= 30 + LONGEST_PAUSE_SECONDS


def test_a_server_that_stays_away_is_given_up(tmp_path: Path) -> None:
    with s3_server.running(s3_server.nanio(), tmp_path / "nanio") as server:
        store = S3ObjectStore(server.new_bucket(), "", server.settings(attempts=1, outage_seconds=0.5))
        store.put("key", data(3 * PART))
        reading = store.read("key")
        next(reading)
        server.stop()
        with pytest.raises(StoreUnavailable), store.writer("other") as writer:
            writer.write(data(3 * PART))
            writer.commit()
        with pytest.raises(StoreUnavailable):
            store.get_file("key", tmp_path / "file", sha256=sha256_bytes(data(3 * PART)))
        with pytest.raises(StoreUnavailable):
            list(reading)
        assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("command", [s3_server.nanio(), s3_server.moto()], ids=["nanio", "moto"])
def test_a_bucket_is_made_where_that_is_asked_for(tmp_path: Path, command: list[str]) -> None:
    with s3_server.running(command, tmp_path / "server") as server:
        for _ in range(2):
            open_store("s3://new-bucket/prefix", server.settings(create_bucket=True)).put("key", b"x")
        assert open_store("s3://new-bucket/prefix", server.settings()).get("key") == b"x"


@contextmanager
def away(server: S3Server, seconds: float = 0.3) -> Iterator[None]:
    """The server is gone when the block begins, and comes back while the block waits for it."""
    server.stop()
    starting = threading.Timer(seconds, server.start)
    starting.start()
    try:
        yield
    finally:
        starting.join()


class Breaking:
    """A proxy that cuts each of the first connections after so many bytes of the answer."""

    def __init__(self, port: int, cuts: int, after: int) -> None:
        self._target = port
        self._cuts = cuts
        self._after = after
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                break
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._target)) as server:
            threading.Thread(target=_copy, args=(client, server), daemon=True).start()
            passed = 0
            while data := server.recv(65536):
                passed += len(data)
                client.sendall(data)
                if passed > self._after and self._cuts > 0:
                    self._cuts -= 1
                    client.shutdown(socket.SHUT_RDWR)
                    return


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        target.close()


def test_a_connection_that_breaks_is_made_again_from_where_it_broke(
    server: S3Server, bucket: str, tmp_path: Path
) -> None:
    content = data(3 * PART)
    S3ObjectStore(bucket, "", server.settings()).put("key", content)
    proxy = Breaking(server.port, cuts=3, after=2 * MIB)
    store = S3ObjectStore(bucket, "", server.settings(endpoint_url=f"http://127.0.0.1:{proxy.port}", attempts=5))
    assert b"".join(store.read("key")) == content
    proxy.close()
    proxy = Breaking(server.port, cuts=3, after=2 * MIB)
    store = S3ObjectStore(bucket, "", server.settings(endpoint_url=f"http://127.0.0.1:{proxy.port}", attempts=5))
    store.get_file("key", tmp_path / "file", sha256=sha256_bytes(content))
    assert (tmp_path / "file").read_bytes() == content
    proxy.close()


def test_an_object_replaced_in_mid_read_after_a_break_is_not_mixed(tmp_path: Path) -> None:
    with s3_server.running(s3_server.moto(), tmp_path / "moto") as server:
        bucket = server.new_bucket()
        direct = S3ObjectStore(bucket, "", server.settings())
        direct.put("key", data(3 * PART))
        proxy = Breaking(server.port, cuts=1, after=2 * MIB)
        store = S3ObjectStore(bucket, "", server.settings(endpoint_url=f"http://127.0.0.1:{proxy.port}"))
        reader = store.read("key")
        next(reader)
        time.sleep(0.1)
        direct.put("key", bytes(3 * PART))
        with pytest.raises(StoreUnavailable, match="was replaced while it was read"):
            list(reader)
        proxy.close()


def test_a_presigned_upload_names_the_server_as_clients_reach_it(server: S3Server, bucket: str) -> None:
    settings = server.settings(public_endpoint_url="https://objects.example.org")
    store = S3ObjectStore(bucket, "p/", settings)
    put = store.presign_put("incoming/ds/ä b", size_bytes=5, sha256=sha256_bytes(b"hello"), seconds=60)
    assert put.url.startswith(f"https://objects.example.org/{bucket}/p/incoming/ds/%C3%A4%20b?")
    assert "X-Amz-SignedHeaders=content-length%3Bhost%3Bx-amz-checksum-sha256" in put.url
    assert "X-Amz-Expires=60" in put.url
    assert SECRET_ACCESS_KEY not in put.url
    assert put.headers == {
        "content-length": "5",
        "x-amz-checksum-sha256": "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
    }


def test_a_copy_from_another_bucket_is_left_to_the_caller(server: S3Server, bucket: str) -> None:
    store = S3ObjectStore(bucket, "p/", server.settings())
    server.client().put_object(Bucket=bucket, Key="raw/a", Body=b"bytes")
    assert store.copy_from_bucket(bucket, "raw/a", "copied")
    assert store.get("copied") == b"bytes"
    assert not store.copy_from_bucket(server.new_bucket(), "raw/a", "not")
    assert not store.copy_from_bucket(bucket, "raw/missing", "not")
    assert [info.key for info in store.list("")] == ["copied"]


def test_uploads_that_writers_left_are_swept_after_a_day(tmp_path: Path) -> None:
    # moto's multipart uploads say that they began in 2010.
    with s3_server.running(s3_server.moto(), tmp_path / "moto") as server:
        bucket = server.new_bucket()
        store = S3ObjectStore(bucket, "p/", server.settings())
        for key in ("p/left", "elsewhere/not-ours"):
            server.client().create_multipart_upload(Bucket=bucket, Key=key)
        assert store.sweep() == 1
        assert [upload["Key"] for upload in uploads(server, bucket)] == ["elsewhere/not-ours"]
