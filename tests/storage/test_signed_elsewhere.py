"""A store without a key of its own, whose calls another one signs: against a real server that checks signatures."""

from __future__ import annotations

import base64
import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from structlog.testing import capture_logs

from storage.objects.digest import sha256_bytes
from storage.objects.errors import (
    AccessRefused,
    InvalidKey,
    ObjectMismatch,
    ObjectNotFound,
    PresigningUnsupported,
    StoreUnavailable,
)
from storage.objects.local import LocalObjectStore
from storage.objects.open import open_store
from storage.objects.s3 import S3ObjectStore
from storage.objects.s3_client import s3_client
from storage.objects.s3_signed_elsewhere import s3_client_signed_elsewhere
from storage.objects.signing import Method, ObjectCall, Sign
from tests import s3_server
from tests.proxy import Proxy
from tests.s3_server import ACCESS_KEY_ID, SECRET_ACCESS_KEY, S3Server

PART = 5 << 20
MD5 = base64.b64encode(hashlib.md5(b"mine").digest()).decode()
KEY = "checkpoints/größe/a b+c.bin"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server.running(s3_server.nanio(), tmp_path_factory.mktemp("nanio")) as running:
        yield running


@pytest.fixture
def bucket(server: S3Server) -> str:
    return server.new_bucket()


@pytest.fixture
def store(server: S3Server, bucket: str) -> S3ObjectStore:
    """The store that has the keys."""
    return S3ObjectStore(bucket, "p/", server.settings())


class Signing:
    """Signs with ``store`` and remembers what it signed."""

    def __init__(self, store: S3ObjectStore) -> None:
        self._store = store
        self.signed: list[ObjectCall] = []

    def __call__(self, call: ObjectCall) -> str:
        assert not call.objection()
        self.signed.append(call)
        return self._store.presign(call, 60)


def keyless(server: S3Server, bucket: str, sign: Sign, **settings: Any) -> S3ObjectStore:
    """The same store, without a key."""
    settings = {"access_key_id": None, "secret_access_key": None, **settings}
    return S3ObjectStore(bucket, "p/", server.settings(**settings), sign)


def content(size: int) -> bytes:
    return b"".join(number.to_bytes(4, "big") for number in range(-(-size // 4)))[:size]


@pytest.mark.parametrize("size", [0, 1000, 2 * PART + 17])
def test_objects_go_and_come_as_with_a_key(
    server: S3Server, bucket: str, store: S3ObjectStore, tmp_path: Path, size: int
) -> None:
    signing = Signing(store)
    mine = keyless(server, bucket, signing)
    path = tmp_path / "file"
    path.write_bytes(content(size))
    taken = mine.take_file(KEY, path)
    assert (taken.size_bytes, taken.sha256) == (size, sha256_bytes(content(size)))
    assert mine.stat(KEY) == store.stat(KEY) == taken
    assert mine.get(KEY) == store.get(KEY) == content(size)
    mine.get_file(KEY, tmp_path / "back", sha256=taken.sha256)
    assert (tmp_path / "back").read_bytes() == content(size)
    assert {call.key for call in signing.signed} == {KEY}
    sent = {Method.CREATE_UPLOAD, Method.PUT_PART, Method.COMPLETE_UPLOAD} if size > PART else {Method.PUT}
    assert {call.method for call in signing.signed} == {*sent, Method.HEAD, Method.GET}


def test_no_header_that_servers_want_signed_goes_without(
    server: S3Server, bucket: str, store: S3ObjectStore, tmp_path: Path
) -> None:
    """Amazon refuses ``x-amz-`` headers that the signature does not name; the small server does not look."""
    mine = keyless(server, bucket, Signing(store))
    sent: list[tuple[str, str, set[str]]] = []

    def look(request: Any, event_name: str, **_: Any) -> None:
        named = parse_qs(urlsplit(request.url).query)["X-Amz-SignedHeaders"][0].split(";")
        wanted = {name.lower() for name in request.headers if name.lower().startswith(("x-amz-", "content-md5"))}
        sent.append((event_name, str(request.headers.get("Authorization")), wanted - set(named)))

    mine._client.meta.events.register("before-send.s3", look)
    for size in (1000, 2 * PART):
        path = tmp_path / str(size)
        path.write_bytes(content(size))
        taken = mine.take_file(KEY, path)
        mine.get_file(KEY, tmp_path / "back", sha256=taken.sha256)
    with mine.writer(KEY) as writer:
        writer.write(content(2 * PART))
    names = {client_name.rpartition(".")[2] for client_name, _, _ in sent}
    assert names == {mine._client.meta.method_to_api_mapping[method] for method in Method}
    assert {(authorization, frozenset(unsigned)) for _, authorization, unsigned in sent} == {("None", frozenset())}


@pytest.mark.parametrize(
    ("signer", "agent", "url", "host"),
    [
        # Amazon, where both speak to the region of the gateway's settings.
        ({"endpoint_url": None}, {"endpoint_url": None, "region": "auto"}, "https://photos.s3.amazonaws.com/", None),
        # R2, and others.
        (
            {"endpoint_url": "https://a.r2.example.com"},
            {"endpoint_url": "https://a.r2.example.com"},
            "https://a.r2.example.com/photos/",
            None,
        ),
        # Two names of one server.
        (
            {"endpoint_url": "https://a.example.com"},
            {"endpoint_url": "http://inside:9000"},
            "http://inside:9000/photos/",
            "a.example.com",
        ),
    ],
)
def test_a_request_goes_where_the_settings_say_and_names_the_host_that_is_signed(
    server: S3Server, signer: dict[str, Any], agent: dict[str, Any], url: str, host: str | None
) -> None:
    signing = s3_client(server.settings(**{"path_style": False, **signer}))
    settings = server.settings(**{"path_style": False, **agent})

    def sign(call: ObjectCall) -> str:
        return str(signing.generate_presigned_url(call.method, Params={"Bucket": "photos", "Key": f"p/{call.key}"}))

    class Caught(Exception):
        pass

    requests: list[Any] = []

    def catch(request: Any, **_: Any) -> None:
        requests.append(request)
        raise Caught

    client = s3_client_signed_elsewhere(settings, "p/", sign)
    client.meta.events.register("before-send.s3", catch)
    with pytest.raises(Caught):
        client.get_object(Bucket="photos", Key="p/key")
    [request] = requests
    assert request.url.startswith(f"{url}p/key?")
    assert request.headers.get("Host") == (host.encode() if host is not None else None)


def test_an_upload_that_breaks_off_leaves_no_parts(server: S3Server, bucket: str, store: S3ObjectStore) -> None:
    signing = Signing(store)
    with keyless(server, bucket, signing).writer(KEY, sha256="0" * 64) as writer:
        writer.write(content(2 * PART))
        with pytest.raises(ObjectMismatch):
            writer.commit()
    assert signing.signed[-1].method == Method.ABORT_UPLOAD
    assert server.client().list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    with pytest.raises(ObjectNotFound):
        store.stat(KEY)


def test_what_is_not_there_is_not_found(server: S3Server, bucket: str, store: S3ObjectStore, tmp_path: Path) -> None:
    mine = keyless(server, bucket, Signing(store))
    for ask in (mine.get, mine.stat, lambda key: mine.get_file(key, tmp_path / "file", sha256="0" * 64)):
        with pytest.raises(ObjectNotFound):
            ask("datasets/ds/missing")
    with pytest.raises(InvalidKey):
        mine.get("../outside")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (ObjectCall(Method.GET, KEY, upload_id="u"), "nothing to do with upload_id"),
        (ObjectCall(Method.HEAD, KEY, sha256="ab" * 32), "nothing to do with sha256"),
        (ObjectCall(Method.PUT, KEY), "must tell content_md5"),
        (ObjectCall(Method.PUT, KEY, content_md5=MD5, part_number=1), "nothing to do with part_number"),
        (ObjectCall(Method.PUT, KEY, content_md5=f"{MD5}\r\nx: y"), "no MD5"),
        (ObjectCall(Method.PUT, KEY, content_md5="ü"), "no MD5"),
        (ObjectCall(Method.PUT, KEY, content_md5="YQ=="), "no MD5"),
        (ObjectCall(Method.CREATE_UPLOAD, KEY, sha256="x\r\nx: y"), "no SHA-256"),
        (ObjectCall(Method.PUT_PART, KEY), "must tell content_md5, part_number, upload_id"),
        (ObjectCall(Method.PUT_PART, KEY, "u", -1, MD5), "part_number must be 1 to 10000"),
        (ObjectCall(Method.PUT_PART, KEY, "u", 10_001, MD5), "part_number must be 1 to 10000"),
        (ObjectCall(Method.COMPLETE_UPLOAD, KEY, "u" * 2000), "upload_id is none"),
        (ObjectCall(Method.ABORT_UPLOAD, KEY, "u\n"), "upload_id is none"),
    ],
)
def test_a_call_that_could_not_be_made_is_none_to_sign(call: ObjectCall, said: str) -> None:
    assert said in call.objection() and call.objection().endswith(".")


def test_a_call_that_nobody_signs_is_not_made(server: S3Server, bucket: str, store: S3ObjectStore) -> None:
    store.put(KEY, b"kept")

    def refuse(call: ObjectCall) -> str:
        raise AccessRefused(call.key, "This is not for you.")

    def away(call: ObjectCall) -> str:
        raise StoreUnavailable("no gateway answers")

    with pytest.raises(AccessRefused, match=r"was refused: This is not for you\."):
        keyless(server, bucket, refuse).put(KEY, b"other")
    with pytest.raises(StoreUnavailable, match="no gateway answers"):
        keyless(server, bucket, away).get(KEY)
    assert store.get(KEY) == b"kept"


def test_a_signature_is_good_for_one_call_with_one_body(store: S3ObjectStore) -> None:
    store.put(KEY, b"kept")
    store.put("datasets/other", b"somebody's")
    put = store.presign(ObjectCall(Method.PUT, KEY, content_md5=MD5), 60)
    get = store.presign(ObjectCall(Method.GET, KEY), 60)
    assert ACCESS_KEY_ID in get and SECRET_ACCESS_KEY not in get
    elsewhere = get.replace("a%20b%2Bc.bin", "d.bin")
    assert elsewhere != get
    refused: list[tuple[str, str, bytes | None, dict[str, str]]] = [
        ("PUT", put, b"forged", {}),  # without the digest that is signed
        ("PUT", put, b"forged", {"Content-MD5": base64.b64encode(hashlib.md5(b"forged").digest()).decode()}),
        ("PUT", get, b"forged", {}),
        ("DELETE", get, None, {}),
        ("GET", elsewhere, None, {}),
    ]
    for method, url, body, headers in refused:
        assert _status(method, url, body, headers) == http.HTTPStatus.FORBIDDEN, (method, url)
    assert store.get(KEY) == b"kept"
    assert _status("PUT", put, b"mine", {"Content-MD5": MD5}) == http.HTTPStatus.OK
    assert store.get(KEY) == b"mine"


def test_the_server_may_have_another_name_for_the_one_who_signs(
    server: S3Server, bucket: str, store: S3ObjectStore, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content(2 * PART))
    with Proxy(server.port) as proxy:
        mine = keyless(server, bucket, Signing(store), endpoint_url=f"http://127.0.0.1:{proxy.port}")
        mine.take_file(KEY, path)
        assert mine.get(KEY) == path.read_bytes()
        proxy.away()
        with pytest.raises(StoreUnavailable, match=str(proxy.port)):
            mine.get(KEY)


def test_a_folder_has_nobody_who_could_check_a_signature(tmp_path: Path) -> None:
    with pytest.raises(PresigningUnsupported):
        LocalObjectStore(tmp_path).presign(ObjectCall(Method.GET, KEY), 60)

    def never(call: ObjectCall) -> str:
        raise AssertionError(call)

    folder = open_store(str(tmp_path), sign=never)
    folder.put(KEY, b"bytes")
    assert folder.get(KEY) == b"bytes"


def _status(method: str, url: str, body: bytes | None, headers: dict[str, str]) -> int:
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("outage_seconds", [0.0, 0.5])
def test_no_error_and_no_log_line_shows_what_was_signed(
    server: S3Server, bucket: str, store: S3ObjectStore, outage_seconds: float
) -> None:
    with Proxy(server.port) as proxy, capture_logs() as logs:
        settings = {"endpoint_url": f"http://127.0.0.1:{proxy.port}", "outage_seconds": outage_seconds}
        mine = keyless(server, bucket, Signing(store), **settings)
        proxy.away()
        for ask in (mine.get, mine.stat, lambda key: mine.put(key, b"bytes")):
            with pytest.raises(StoreUnavailable) as caught:
                ask(KEY)
            assert str(proxy.port) in str(caught.value), "where it was looked for is told"
            assert "X-Amz" not in str(caught.value)
    assert "X-Amz" not in str(logs) and bool(logs) == bool(outage_seconds)
