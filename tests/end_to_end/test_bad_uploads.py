"""Uploads that are refused: the reason says why, and nothing half made is left."""

from __future__ import annotations

import tarfile
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from storage.objects.store import ObjectStore
from tests.end_to_end import digits
from tests.end_to_end.processes import until
from tests.end_to_end.refusals import Code, Part, Raw, file, header, nothing_left, refused
from tests.gateway.datasets import archives
from visionmesh.client import Client
from visionmesh.v1 import dataset_pb2

SPEC = dataset_pb2.DatasetSpec(name="bad", format=dataset_pb2.DATASET_FORMAT_DICE)
GOOD_BYTES = digits.png(0)
GOOD = file("train/0/good.png", GOOD_BYTES)
BYTES = digits.png(1)
PATH = "train/0/bad.png"
PATHS = {
    "../../x": "..",
    "train/../../x.png": "..",
    "/etc/passwd": "absolute",
    "train\\0\\x.png": "backslash",
    "train/0/x\0.png": "control character",
    "C:/x.png": "drive",
    "train//x.png": "empty part",
    "": "empty",
    "/".join(["x" * 200] * 20): "longer than 1024 bytes",
    "x" * 4000: "longer than 1024 bytes",
}
WRONG_SIZES: dict[str, tuple[list[Part], str]] = {
    "longer than declared": ([header(PATH, BYTES, size_bytes=len(BYTES) - 1), BYTES], str(len(BYTES))),
    "one more chunk": ([*file(PATH, BYTES), b"more"], str(len(BYTES) + 4)),
    "the next file too early": ([header(PATH, BYTES), BYTES[:9], *file("train/0/c.png", BYTES)], "9"),
    "the stream ends in mid-file": ([header(PATH, BYTES), BYTES[:9]], "9"),
    "the stream ends after the header": ([header(PATH, BYTES)], "0"),
}


@pytest.fixture
def empty(client: Client) -> Iterator[dataset_pb2.Dataset]:
    """UPLOADING, and empty."""
    dataset = client.create_dataset(SPEC)
    yield dataset
    client.delete_dataset(dataset.id)


@pytest.fixture(autouse=True)
def _nothing_left(client: Client, store: ObjectStore) -> Iterator[None]:
    with nothing_left(client, store):
        yield


def paths(client: Client, dataset_id: str) -> list[str]:
    return [item.path for item in client.dataset_files(dataset_id)]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_leads_elsewhere(raw: Raw, client: Client, empty: dataset_pb2.Dataset, path: str) -> None:
    for upload in (partial(raw.upload_files, empty.id), partial(raw.upload_dataset, SPEC)):
        error = refused(
            partial(upload, [*GOOD, *file(path, BYTES)]), Code.INVALID_ARGUMENT, "INVALID_REQUEST", "header.path"
        )
        assert PATHS[path] in error.violations[0].description
        assert repr(path[:200])[:-1] in error.violations[0].description
    # What came whole before it stays where the dataset stays.
    assert paths(client, empty.id) == ["train/0/good.png"]


def test_the_same_path_twice(raw: Raw, client: Client, empty: dataset_pb2.Dataset, store: ObjectStore) -> None:
    twice = [*GOOD, *file("train/0/good.png", BYTES)]
    for upload in (partial(raw.upload_files, empty.id), partial(raw.upload_dataset, SPEC)):
        error = refused(partial(upload, twice), Code.ALREADY_EXISTS, "FILE_EXISTS")
        assert error.metadata["path"] == "train/0/good.png"
    # Also in another call; the first bytes stay.
    refused(partial(raw.upload_files, empty.id, twice[2:]), Code.ALREADY_EXISTS, "FILE_EXISTS")
    assert paths(client, empty.id) == ["train/0/good.png"]
    assert store.get(f"{client.get_dataset(empty.id).storage_path}train/0/good.png") == GOOD_BYTES


@pytest.mark.parametrize("wrong", WRONG_SIZES)
def test_a_file_of_another_size_than_declared(raw: Raw, client: Client, empty: dataset_pb2.Dataset, wrong: str) -> None:
    parts, received = WRONG_SIZES[wrong]
    for upload in (partial(raw.upload_files, empty.id), partial(raw.upload_dataset, SPEC)):
        error = refused(partial(upload, [*GOOD, *parts]), Code.INVALID_ARGUMENT, "FILE_MISMATCH")
        assert (error.metadata["path"], error.metadata["what"]) == (PATH, "size_bytes")
        assert error.metadata["received"] == received
    # What was acknowledged stays where the dataset stays: also a file that was whole before too much came.
    kept = [PATH, "train/0/good.png"] if wrong == "one more chunk" else ["train/0/good.png"]
    assert paths(client, empty.id) == kept


def test_a_file_with_another_digest_than_declared(raw: Raw, client: Client, empty: dataset_pb2.Dataset) -> None:
    parts = [header(PATH, BYTES, sha256="ab" * 32), BYTES]
    for upload in (partial(raw.upload_files, empty.id), partial(raw.upload_dataset, SPEC)):
        error = refused(partial(upload, parts), Code.INVALID_ARGUMENT, "FILE_MISMATCH")
        assert (error.metadata["what"], error.metadata["expected"]) == ("sha256", "ab" * 32)
    assert paths(client, empty.id) == []
    # The path is free again: the right bytes are taken.
    assert [item.path for item in raw.upload_files(empty.id, file(PATH, BYTES))] == [PATH]


@pytest.mark.parametrize(
    ("parts", "field"), [([b"lost"], "chunk"), ([header(PATH, size_bytes=-1)], "header.size_bytes")]
)
def test_messages_that_make_no_sense(
    raw: Raw, client: Client, empty: dataset_pb2.Dataset, parts: list[Part], field: str
) -> None:
    for upload in (partial(raw.upload_files, empty.id), partial(raw.upload_dataset, SPEC)):
        refused(partial(upload, parts), Code.INVALID_ARGUMENT, "INVALID_REQUEST", field)
    assert paths(client, empty.id) == []


def test_a_sender_that_vanishes_in_mid_file(raw: Raw, client: Client, store: ObjectStore) -> None:
    before = {info.key for info in store.list("")}
    go = threading.Event()

    def requests() -> Iterator[dataset_pb2.UploadDatasetRequest]:
        yield dataset_pb2.UploadDatasetRequest(spec=SPEC)
        yield dataset_pb2.UploadDatasetRequest(header=header("train/0/good.png", GOOD_BYTES))
        yield dataset_pb2.UploadDatasetRequest(chunk=GOOD_BYTES)
        yield dataset_pb2.UploadDatasetRequest(header=header(PATH, BYTES))
        yield dataset_pb2.UploadDatasetRequest(chunk=BYTES[:9])
        go.wait(60)

    call = raw.datasets.UploadDataset.future(requests(), metadata=raw.metadata)
    # The first file is in the store before the sender goes.
    until(lambda: {info.key for info in store.list("")} != before)
    call.cancel()
    go.set()
    until(lambda: {info.key for info in store.list("")} == before)


def test_what_is_uploaded_must_say_what_it_is(raw: Raw, client: Client) -> None:
    nothing = dataset_pb2.DatasetSpec(val_fraction=1.0, tags=[""], format=99)  # type: ignore[arg-type]
    for field, call in (
        ("dataset", lambda: client.create_dataset(nothing)),
        ("spec", lambda: raw.upload_dataset(nothing, GOOD)),
    ):
        names = (f"{field}.name", f"{field}.format", f"{field}.tags[0]", f"{field}.val_fraction")
        error = refused(call, Code.INVALID_ARGUMENT, "INVALID_REQUEST", *names)
        assert error.metadata["violation_count"] == "4"


def test_names_that_differ_in_their_unicode_form_alone_are_one_and_in_their_case_two(
    raw: Raw, client: Client, empty: dataset_pb2.Dataset
) -> None:
    composed, decomposed = "train/0/\u00e9.png", "train/0/e\u0301.png"
    for upload in (partial(raw.upload_files, empty.id), partial(raw.upload_dataset, SPEC)):
        twice = [*file(composed, BYTES), *file(decomposed, BYTES)]
        error = refused(partial(upload, twice), Code.ALREADY_EXISTS, "FILE_EXISTS")
        assert error.metadata["path"] == composed
    raw.upload_files(empty.id, [*file("train/0/a.png", BYTES), *file("train/0/A.png", GOOD_BYTES)])
    assert paths(client, empty.id) == ["train/0/A.png", "train/0/a.png", composed]


ARCHIVES: dict[str, tuple[str, bytes, str]] = {
    "a way out of a zip": ("a.zip", archives.zipped({"train/0/good.png": GOOD_BYTES, "../../x": BYTES}), "../../x"),
    "a way out of a tar": ("a.tar", archives.tar({"train/0/good.png": GOOD_BYTES, "../../x": BYTES}), "../../x"),
    "an absolute path": (
        "a.tar.gz",
        archives.tar_gz({"train/0/good.png": GOOD_BYTES, "/etc/passwd": b""}),
        "/etc/passwd",
    ),
    "a drive": ("a.zip", archives.zipped({"train/0/good.png": GOOD_BYTES, "C:/x": b""}), "C:/x"),
    "a symbolic link": (
        "a.tar.zst",
        archives.tar_zst({"train/0/good.png": GOOD_BYTES}, archives.entry(tarfile.SYMTYPE, "link", "/etc/passwd")),
        "link",
    ),
    "a hard link": (
        "a.tar",
        archives.tar({"train/0/good.png": GOOD_BYTES}, archives.entry(tarfile.LNKTYPE, "link", "train/0/good.png")),
        "link",
    ),
    "an encrypted file": (
        "a.zip",
        archives.zipped({"train/0/good.png": GOOD_BYTES})[:-22].split(b"PK\x01\x02")[0]
        + archives.encrypted({"secret.png": BYTES}),
        "secret.png",
    ),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_with(raw: Raw, client: Client, empty: dataset_pb2.Dataset, kind: str) -> None:
    name, packed, entry = ARCHIVES[kind]
    parts: list[Part] = [header(name, packed, unpack=True), packed]
    for upload in (partial(raw.upload_files, empty.id), partial(raw.upload_dataset, SPEC)):
        error = refused(partial(upload, parts), Code.INVALID_ARGUMENT, "BAD_ARCHIVE")
        assert (error.metadata["path"], error.metadata["entry"]) == (name, entry)
    # What came whole before it stays where the dataset stays.
    assert paths(client, empty.id) == ["train/0/good.png"]


@pytest.mark.parametrize("name", ["bomb.zip", "bomb.tar.gz"])
def test_a_bomb_of_ten_gigabytes(raw: Raw, client: Client, empty: dataset_pb2.Dataset, name: str) -> None:
    packed = b"".join(archives.bomb(name))
    chunks = [packed[start : start + (1 << 20)] for start in range(0, len(packed), 1 << 20)]
    parts: list[Part] = [header(name, packed, unpack=True), *chunks]
    for upload in (partial(raw.upload_files, empty.id), partial(raw.upload_dataset, SPEC)):
        error = refused(partial(upload, parts), Code.INVALID_ARGUMENT, "BAD_ARCHIVE")
        limit = error.metadata["limit"].split()[0]
        # A tar archive says at once how large its file is.
        assert limit == ("archive_max_ratio" if name.endswith(".zip") else "max_file_bytes")
    assert paths(client, empty.id) == []
