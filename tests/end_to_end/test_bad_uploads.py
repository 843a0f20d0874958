"""Uploads that are refused: the reason says why, and nothing half made is left."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial

import pytest

from storage.objects.store import ObjectStore
from tests.end_to_end import digits
from tests.end_to_end.processes import until
from tests.end_to_end.refusals import Code, Part, Raw, file, header, nothing_left, refused
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
        assert repr(path) in error.violations[0].description
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
    nothing = dataset_pb2.DatasetSpec(val_fraction=1.0, tags=[""])
    for field, call in (
        ("dataset", lambda: client.create_dataset(nothing)),
        ("spec", lambda: raw.upload_dataset(nothing, GOOD)),
    ):
        names = (f"{field}.name", f"{field}.format", f"{field}.tags[0]", f"{field}.val_fraction")
        error = refused(call, Code.INVALID_ARGUMENT, "INVALID_REQUEST", *names)
        assert error.metadata["violation_count"] == "4"
