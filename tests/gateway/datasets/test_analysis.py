"""What an upload becomes: splits, classes, problems, READY or FAILED."""

from __future__ import annotations

import json

import pytest

from storage.objects import keys
from storage.objects.local import LocalObjectStore
from storage.objects.manifest import Manifest, digest
from tests.gateway.datasets.conftest import Client
from tests.gateway.datasets.pictures import Files, files_to, pets, picture, spec, without
from visionmesh.v1 import common_pb2, dataset_pb2

READY = dataset_pb2.DATASET_STATE_READY
FAILED = dataset_pb2.DATASET_STATE_FAILED
WARNING = dataset_pb2.PROBLEM_SEVERITY_WARNING
ERROR = dataset_pb2.PROBLEM_SEVERITY_ERROR
IMAGE_FOLDER = dataset_pb2.DATASET_FORMAT_IMAGE_FOLDER


def distribution(dataset: dataset_pb2.Dataset) -> dict[str, dict[str, int]]:
    """Images by split and class."""
    return {split: dict(classes.images) for split, classes in dataset.class_distribution.items()}


def places(files: dict[str, dataset_pb2.DatasetFile]) -> dict[str, tuple[str, str]]:
    """Split and label by path."""
    return {path: (file.split, file.label) for path, file in files.items()}


async def test_a_good_dataset_is_ready_with_a_manifest(ada: Client, store: LocalObjectStore) -> None:
    files = {**pets(train=3, val=2), "test/dog/1.JPEG": picture(99, "JPEG")}
    dataset = await ada.analysed(spec(), files)
    assert dataset.state == READY
    assert (dataset.num_classes, [*dataset.class_names]) == (2, ["cat", "dog"])
    assert [*dataset.task_types] == [common_pb2.TASK_TYPE_IMAGE_CLASSIFICATION]
    assert distribution(dataset) == {
        "train": {"cat": 3, "dog": 3},
        "val": {"cat": 2, "dog": 2},
        "test": {"dog": 1},
    }
    assert await ada.problems(dataset.id) == []

    data = store.get(keys.manifest(dataset.id))
    assert digest(data) == dataset.manifest_digest
    manifest = Manifest.from_bytes(data)
    listed = await ada.files(dataset.id)
    assert {file.path: file.sha256 for file in manifest.files} == {path: file.sha256 for path, file in listed.items()}
    assert {file.path: (file.split, manifest.class_names[file.label_id or 0]) for file in manifest.files} == places(
        listed
    )


@pytest.mark.parametrize(
    ("files", "kind", "said"),
    [
        ({}, "no_images", "no image"),
        ({"train/cat/notes.txt": b"cat"}, "no_images", "no image"),
        ({"train/cat/1.png": picture(1), "train/cat/2.png": picture(2)}, "too_few_classes", "'cat'"),
        (without(pets(1), ["train/dog/0.png"]), "class_without_training_images", "'dog' cannot be learnt"),
        ({**pets(), "train/dog/0.png": b"", "train/dog/1.png": b"no"}, "class_without_training_images", "all 2 of its"),
        ({**pets(), "val/dog/0.png": b"", "val/cat/0.png": b""}, "empty_split", "'val'"),
        ({"train/a/1.png": picture(1), "train/b/1.png": picture(2)}, "no_validation_images", "val_fraction"),
    ],
    ids=["empty", "no images", "one class", "untrained", "all broken", "broken split", "no val"],
)
async def test_what_cannot_be_trained_on_fails_and_says_why(
    ada: Client, store: LocalObjectStore, files: Files, kind: str, said: str
) -> None:
    dataset = await ada.analysed(spec(), files)
    assert dataset.state == FAILED
    assert dataset.failure.reason == "DATASET_NOT_TRAINABLE"
    assert said in dataset.failure.message
    errors = {problem.kind: problem for problem in await ada.problems(dataset.id) if problem.severity == ERROR}
    assert said in errors[kind].message
    assert (dataset.manifest_digest, [*store.list("manifests/")]) == ("", [])


async def test_broken_images_are_named_and_left_out(ada: Client, store: LocalObjectStore) -> None:
    whole = picture(7, "JPEG", (60, 60))
    broken = {
        "train/cat/text.jpg": b"I am no picture at all.",
        "train/cat/torn.jpg": whole[: len(whole) // 2],
        "train/dog/huge.png": picture(8, size=(101, 100)),
        "train/dog/empty.png": b"",
    }
    strangers = {"train/dog/notes.txt": b"woof", "readme.png": picture(9), "train/cat/.hidden.png": picture(10)}
    dataset = await ada.analysed(spec(), {**pets(), **broken, **strangers})
    assert dataset.state == READY
    assert distribution(dataset) == {"train": {"cat": 2, "dog": 2}, "val": {"cat": 1, "dog": 1}}
    problems = {problem.path: problem for problem in await ada.problems(dataset.id)}
    assert {path: problem.kind for path, problem in problems.items()} == {
        "train/cat/text.jpg": "broken_image",
        "train/cat/torn.jpg": "broken_image",
        "train/dog/huge.png": "too_many_pixels",
        "train/dog/empty.png": "empty_image",
        "train/dog/notes.txt": "not_an_image",
        "train/cat/.hidden.png": "not_an_image",
        "readme.png": "outside_layout",
    }
    assert {problem.severity for problem in problems.values()} == {WARNING}
    assert "truncated" in problems["train/cat/torn.jpg"].message
    assert "101 × 100 pixels" in problems["train/dog/huge.png"].message
    assert "max_image_pixels" in problems["train/dog/huge.png"].message
    manifest = Manifest.from_bytes(store.get(keys.manifest(dataset.id)))
    left_out = {file.path for file in manifest.files if not file.split and file.label_id is None}
    assert left_out == {*broken, *strangers}


async def test_a_failed_dataset_is_repaired_by_more_files(ada: Client) -> None:
    dataset_id = await ada.filled({"train/cat/1.png": picture(1), "val/cat/1.png": picture(2)})
    await ada.finalize(dataset_id)
    assert (await ada.watch(dataset_id))[-1].dataset.state == FAILED

    await ada.finalize(dataset_id)  # allowed, and no better
    assert (await ada.watch(dataset_id))[-1].dataset.state == FAILED

    await ada.send(files_to(dataset_id, {"train/dog/1.png": picture(3), "val/dog/1.png": picture(4)}))
    uploading = await ada.get(dataset_id)
    assert uploading.state == dataset_pb2.DATASET_STATE_UPLOADING
    assert not uploading.HasField("failure")
    await ada.finalize(dataset_id)
    ready = (await ada.watch(dataset_id))[-1].dataset
    assert (ready.state, ready.HasField("failure")) == (READY, False)
    assert await ada.problems(dataset_id) == []


async def test_one_folder_around_everything_is_seen_through(ada: Client) -> None:
    files = {f"pets-v2/{path}": data for path, data in pets().items()}
    dataset = await ada.analysed(spec(), {**files, "__MACOSX/pets-v2/._x.png": b"junk"})
    assert distribution(dataset) == {"train": {"cat": 2, "dog": 2}, "val": {"cat": 1, "dog": 1}}


@pytest.mark.parametrize("top", ["", "pets/"])
async def test_an_image_folder_of_classes_gets_a_val_split(ada: Client, top: str) -> None:
    sizes = {"cat": 10, "dog": 4, "newt": 1}
    files = {
        f"{top}{label}/{number}.png": picture(hash((label, number)))
        for label, count in sizes.items()
        for number in range(count)
    }
    dataset = await ada.analysed(spec(format=IMAGE_FOLDER, val_fraction=0.3), files)
    assert distribution(dataset) == {"train": {"cat": 7, "dog": 3, "newt": 1}, "val": {"cat": 3, "dog": 1}}
    (problem,) = await ada.problems(dataset.id)
    assert (problem.kind, problem.severity) == ("class_without_validation_images", WARNING)
    assert "'newt'" in problem.message


async def test_the_made_split_follows_the_seed_alone(ada: Client) -> None:
    files = {path: data for path, data in pets(train=12, val=0).items()}
    backwards = dict(reversed(files.items()))

    async def val(what: dataset_pb2.DatasetSpec, files: Files) -> set[str]:
        dataset = await ada.analysed(what, files)
        return {path for path, (split, _) in places(await ada.files(dataset.id)).items() if split == "val"}

    first = await val(spec(split_seed=1), files)
    assert len(first) == 4
    assert await val(spec(split_seed=1), backwards) == first
    assert await val(spec(split_seed=2), files) != first


async def test_given_splits_stay_and_copies_across_them_are_told(ada: Client) -> None:
    files = {**pets(train=4, val=1), "val/cat/copy.png": pets()["train/cat/0.png"]}
    dataset = await ada.analysed(spec(format=IMAGE_FOLDER, val_fraction=0.9), files)
    assert distribution(dataset) == {"train": {"cat": 4, "dog": 4}, "val": {"cat": 2, "dog": 1}}
    (problem,) = await ada.problems(dataset.id)
    assert (problem.path, problem.kind) == ("val/cat/copy.png", "same_image_in_splits")
    assert "train/cat/0.png" in problem.message


async def test_copies_of_one_image_stay_together_in_a_made_split(ada: Client) -> None:
    files = {f"{label}/{number}.png": picture(number // 2 + (label == "dog") * 100)
             for label in ("cat", "dog") for number in range(12)}  # fmt: skip
    dataset = await ada.analysed(spec(format=IMAGE_FOLDER), files)
    assert distribution(dataset)["val"] == {"cat": 2, "dog": 2}
    assert await ada.problems(dataset.id) == []


async def test_bytes_that_changed_in_the_store_are_found(ada: Client, store: LocalObjectStore) -> None:
    dataset_id = await ada.filled(pets())
    store.put(keys.dataset_file(dataset_id, "train/cat/0.png"), picture(1234))
    store.delete(keys.dataset_file(dataset_id, "val/dog/0.png"))
    await ada.finalize(dataset_id)
    dataset = (await ada.watch(dataset_id))[-1].dataset
    assert (dataset.state, dataset.failure.reason) == (FAILED, "STORAGE_CORRUPT")
    lost = [problem.path for problem in await ada.problems(dataset_id) if problem.kind == "storage_corrupt"]
    assert lost == ["train/cat/0.png", "val/dog/0.png"]


async def test_the_manifest_is_the_same_for_the_same_files(ada: Client, store: LocalObjectStore) -> None:
    contents = []
    for _ in range(2):
        dataset = await ada.analysed(spec(), pets())
        content = json.loads(store.get(keys.manifest(dataset.id)))
        assert content.pop("dataset_id") == dataset.id
        contents.append(content)
    assert contents[0] == contents[1]
