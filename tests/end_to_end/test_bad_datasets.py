"""Datasets that cannot be trained on, or not wholly: analysed, named, and mended by more files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from storage.objects.store import ObjectStore
from tests.end_to_end import digits
from tests.end_to_end.hostile_images import cut_jpeg, huge_png
from tests.end_to_end.refusals import Code, Raw, file, nothing_left, refused
from visionmesh.client import Client
from visionmesh.v1 import dataset_pb2

FAILED = dataset_pb2.DATASET_STATE_FAILED
READY = dataset_pb2.DATASET_STATE_READY
ERROR = dataset_pb2.PROBLEM_SEVERITY_ERROR
WARNING = dataset_pb2.PROBLEM_SEVERITY_WARNING


def of_class(label: int, train: int = 5, val: int = 2) -> dict[str, bytes]:
    """A class folder of real digits."""
    found = digits.files(label + 1, per_class=train, val=val)
    return {path: data for path, data in found.items() if path.split("/")[1] == str(label)}


UNUSABLE = {
    "a text file called .jpg": ("train/0/notes.jpg", b"These are notes, not an image.\n", "broken_image", "no image"),
    "a truncated JPEG": ("train/0/cut.jpg", cut_jpeg(), "broken_image", "truncated"),
    "an empty file": ("train/0/empty.png", b"", "empty_image", "no bytes"),
    "a PNG that claims 30,000 × 30,000": ("train/0/huge.png", huge_png(), "too_many_pixels", "max_image_pixels"),
}
NOT_TRAINABLE: dict[str, tuple[dict[str, bytes], str]] = {
    "one class": (of_class(0), "too_few_classes"),
    "no images": ({"train/0/notes.txt": b"none", "README.md": b"none"}, "no_images"),
    "images of one class only": (
        {**of_class(0), "train/1/notes.jpg": b"none", "val/1/notes.jpg": b"none"},
        "class_without_training_images",
    ),
}


@pytest.fixture
def made(client: Client, store: ObjectStore) -> Iterator[list[str]]:
    """Ids of datasets to delete afterwards, when nothing of them may be left."""
    ids: list[str] = []
    with nothing_left(client, store):
        yield ids
        for dataset_id in ids:
            client.delete_dataset(dataset_id)


def upload(client: Client, raw: Raw, made: list[str], content: dict[str, bytes], **spec: Any) -> dataset_pb2.Dataset:
    """A dataset of these files, READY or FAILED."""
    described = dataset_pb2.DatasetSpec(name="bad", format=dataset_pb2.DATASET_FORMAT_DICE, **spec)
    dataset = raw.upload_dataset(described, [part for path in content for part in file(path, content[path])])
    made.append(dataset.id)
    return client.wait_for_dataset(dataset.id)


@pytest.mark.parametrize("what", NOT_TRAINABLE)
def test_what_cannot_be_trained_on_fails_says_why_and_is_mended(
    client: Client, raw: Raw, made: list[str], what: str
) -> None:
    content, kind = NOT_TRAINABLE[what]
    dataset = upload(client, raw, made, content)
    assert (dataset.state, dataset.failure.reason) == (FAILED, "DATASET_NOT_TRAINABLE")
    [problem] = [found for found in client.dataset_problems(dataset.id) if found.severity == ERROR]
    assert problem.kind == kind
    assert problem.message in dataset.failure.message
    assert dataset.manifest_digest == "" and not dataset.class_names

    error = refused(lambda: client.create_job(digits.spec(dataset.id)), Code.FAILED_PRECONDITION, "DATASET_NOT_READY")
    assert error.metadata["state"] == "FAILED"

    known = {item.path for item in client.dataset_files(dataset.id)}
    more = {path: data for path, data in {**of_class(0), **of_class(1)}.items() if path not in known}
    raw.upload_files(dataset.id, [part for path in more for part in file(path, more[path])])
    client.finalize_dataset(dataset.id)
    mended = client.wait_for_dataset(dataset.id)
    assert (mended.state, list(mended.class_names)) == (READY, ["0", "1"])
    assert not mended.HasField("failure") and mended.manifest_digest
    splits = {name: dict(split.images) for name, split in mended.class_distribution.items()}
    assert splits == {"train": {"0": 5, "1": 5}, "val": {"0": 2, "1": 2}}


@pytest.mark.parametrize("what", UNUSABLE)
def test_a_file_that_cannot_be_used_is_named_and_left_out(client: Client, raw: Raw, made: list[str], what: str) -> None:
    path, data, kind, said = UNUSABLE[what]
    dataset = upload(client, raw, made, {**of_class(0), **of_class(1), path: data})
    assert dataset.state == READY
    [problem] = client.dataset_problems(dataset.id)
    assert (problem.path, problem.kind, problem.severity) == (path, kind, WARNING)
    assert said in problem.message
    assert dict(dataset.class_distribution["train"].images) == {"0": 5, "1": 5}
    [left_out] = [item for item in client.dataset_files(dataset.id) if item.path == path]
    assert (left_out.split, left_out.label) == ("", "")


def test_a_job_trains_on_what_is_good_of_a_dataset(client: Client, raw: Raw) -> None:
    bad = {path: data for path, data, _, _ in UNUSABLE.values()}
    dataset = upload(client, raw, [], {**of_class(0), **of_class(1), **bad})
    job = client.create_job(digits.spec(dataset.id, epochs=1))
    client.start_job(job.id)
    list(client.watch_job(job.id))
    done = client.get_job(job.id)
    assert (done.failure.reason, done.current_epoch) == ("", 1)


def test_what_is_ready_takes_no_more_files(client: Client, raw: Raw, dataset: dataset_pb2.Dataset) -> None:
    for call in (
        lambda: raw.upload_files(dataset.id, file("train/0/late.png", digits.png(0))),
        lambda: client.finalize_dataset(dataset.id),
    ):
        error = refused(call, Code.FAILED_PRECONDITION, "INVALID_STATE_TRANSITION")
        assert error.metadata["from"] == "READY"
    assert client.get_dataset(dataset.id) == dataset
