"""Datasets with annotated objects, uploaded in every format: what they become, and what is told of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from annotations.document import read_categories, read_images
from annotations.model import AnnotatedObject, Box
from storage.objects import keys
from storage.objects.local import LocalObjectStore
from storage.objects.manifest import Manifest
from tests.gateway.datasets import annotated
from tests.gateway.datasets.annotated import CLASS_DISTRIBUTION, FORMATS, OBJECTS, SCENE, box, image
from tests.gateway.datasets.conftest import Client
from tests.gateway.datasets.pictures import files_to, picture, spec
from visionmesh.v1 import common_pb2, dataset_pb2

READY = dataset_pb2.DATASET_STATE_READY
FAILED = dataset_pb2.DATASET_STATE_FAILED
UNSPECIFIED = dataset_pb2.DATASET_FORMAT_UNSPECIFIED
COCO = dataset_pb2.DATASET_FORMAT_COCO
DICE = dataset_pb2.DATASET_FORMAT_DICE
YOLO = dataset_pb2.DATASET_FORMAT_YOLO
DETECTION = common_pb2.TASK_TYPE_OBJECT_DETECTION
SEGMENTATION = common_pb2.TASK_TYPE_INSTANCE_SEGMENTATION
POSE = common_pb2.TASK_TYPE_POSE_ESTIMATION
ORIENTED = common_pb2.TASK_TYPE_ORIENTED_DETECTION
NAMES = {format: dataset_pb2.DatasetFormat.Name(format).removeprefix("DATASET_FORMAT_") for format in FORMATS}


def distribution(dataset: dataset_pb2.Dataset) -> dict[str, dict[str, int]]:
    """Images by split and class."""
    return {split: dict(classes.images) for split, classes in dataset.class_distribution.items()}


def counted(histogram: dataset_pb2.Histogram) -> dict[float, int]:
    """What is not zero, by lower bound."""
    pairs = zip(histogram.lower_bounds, histogram.counts, strict=True)
    return {bound: count for bound, count in pairs if count}


@pytest.mark.parametrize("told", [True, False], ids=["format given", "format detected"])
@pytest.mark.parametrize("format", FORMATS, ids=NAMES.values())
async def test_a_dataset_of_boxes_is_ready_with_the_same_numbers_in_every_format(
    ada: Client, store: LocalObjectStore, tmp_path: Path, format: int, told: bool
) -> None:
    files = FORMATS[format]()
    dataset = await ada.analysed(spec(format=format if told else UNSPECIFIED), files)
    problems = await ada.problems(dataset.id)
    assert dataset.state == READY, problems
    assert problems == []
    assert (dataset.format, bool(dataset.format_detected_from)) == (format, not told)
    assert [*dataset.class_names] == ["cat", "dog"]
    assert [*dataset.task_types] == [DETECTION]
    assert (distribution(dataset), dataset.object_count) == (CLASS_DISTRIBUTION, 9)

    listed = await ada.files(dataset.id)
    images = {path: file for path, file in listed.items() if path.endswith(".png")}
    assert {path.rpartition("/")[2]: file.split for path, file in images.items()} == {of.path: of.split for of in SCENE}
    assert {file.label for file in listed.values()} == {""}
    assert {file.split for path, file in listed.items() if path not in images} == {""}

    manifest = Manifest.from_bytes(store.get(keys.manifest(dataset.id)))
    assert (manifest.format, manifest.task_types) == (NAMES[format], ("OBJECT_DETECTION",))
    assert manifest.annotations is not None
    store.get_file(keys.dataset_annotations(dataset.id), tmp_path / "annotations", sha256=manifest.annotations.sha256)
    assert (tmp_path / "annotations").stat().st_size == manifest.annotations.size_bytes
    assert [category.name for category in read_categories(tmp_path / "annotations")] == ["cat", "dog"]
    read = {of.path.rpartition("/")[2]: replace(of, path="") for of in read_images(tmp_path / "annotations")}
    for of in SCENE:
        assert (read[of.path].split, len(read[of.path].objects)) == (of.split, len(of.objects))
        for found, drawn in zip(read[of.path].objects, of.objects, strict=True):
            assert found.category_id == drawn.category_id
            assert found.box.x_min == pytest.approx(drawn.box.x_min, abs=0.01)
            assert found.box.area == pytest.approx(drawn.box.area, abs=0.5)


async def test_the_statistics_are_those_counted_by_hand(ada: Client) -> None:
    dataset = await ada.analysed(spec(format=COCO), annotated.coco())
    found = await ada.statistics(dataset.id)
    assert dict(found.images) == {"train": 4, "val": 2, "test": 1}
    assert dict(found.images_without_objects) == {"train": 1}
    assert {split: dict(counts.objects) for split, counts in found.objects.items()} == OBJECTS
    assert counted(found.objects_per_image) == {0: 1, 1: 3, 2: 3}
    # 64 × 48 is a square of side 55.4: 8 × 8 → 0.14 (twice), 10 × 10 → 0.18, 16 × 12 → 0.25, 12 × 36 → 0.38,
    # 20 × 24 → 0.395, 24 × 24 → 0.43, 30 × 20 → 0.44, the whole → 1.
    sizes = {round(bound, 6): count for bound, count in counted(found.relative_box_sizes).items()}
    assert sizes == {0.1: 3, 0.2: 1, 0.3: 2, 0.4: 2, 0.9: 1}
    assert counted(found.image_sizes) == {64: 7}
    assert counted(found.aspect_ratios) == {1.25: 7}

    uploading = await ada.create()
    request = dataset_pb2.GetDatasetRequest(dataset_id=uploading.id)
    assert not (await ada.stub.GetDataset(request, metadata=ada.metadata)).HasField("statistics")


async def test_class_folders_have_statistics_of_their_images_alone(ada: Client) -> None:
    files = {f"{label}/{n}.png": picture(n + 10 * len(label), size=(20, 40)) for label in ("a", "bb") for n in range(5)}
    dataset = await ada.analysed(spec(format=UNSPECIFIED), files)
    assert (dataset.state, dataset.format) == (READY, dataset_pb2.DATASET_FORMAT_IMAGE_FOLDER)
    found = await ada.statistics(dataset.id)
    assert dict(found.images) == {"train": 8, "val": 2}
    assert (counted(found.image_sizes), counted(found.aspect_ratios)) == ({32: 10}, {0.5: 10})
    assert not found.objects and not found.images_without_objects and not found.HasField("objects_per_image")


POLYGON = (4.0, 4.0, 30.0, 4.0, 30.0, 30.0)
CORNERS = "0.{} 0.2 0.5 0.1 0.6 0.5 0.2 0.6"


def with_polygons(content: dict[str, list[dict[str, object]]], crowd: bool = False) -> bytes:
    for annotation in content["annotations"]:
        annotation["segmentation"] = [list(POLYGON)]
    if crowd:
        first = content["annotations"][0]
        content["annotations"].append(
            {**first, "id": 99, "iscrowd": 1, "segmentation": {"size": [48, 64], "counts": [0, 3072]}}
        )
    return json.dumps(content).encode()


def with_keypoints(content: dict[str, list[dict[str, object]]]) -> bytes:
    for category in content["categories"]:
        category["keypoints"] = ["left_ear", "right_ear"]
    for annotation in content["annotations"]:
        annotation["keypoints"] = [10, 10, 2, 20, 10, 1]
        annotation["num_keypoints"] = 2
    return json.dumps(content).encode()


def dice_with(change: Callable[[dict[str, list[dict[str, object]]]], bytes]) -> dict[str, bytes]:
    files = annotated.dice()
    return {**files, "annotations.json": change(json.loads(files["annotations.json"]))}


def turned_boxes() -> dict[str, bytes]:
    """Every label of the scene as four corners."""
    files = annotated.yolo()
    labels = {path: text.decode().splitlines() for path, text in files.items() if path.startswith("labels/")}
    lines = {
        path: [f"{line[0]} {CORNERS.format(place)}" for place, line in enumerate(text, 1)]
        for path, text in labels.items()
    }
    return {**files, **{path: "\n".join(found).encode() for path, found in lines.items()}}


@pytest.mark.parametrize(
    ("files", "tasks"),
    [
        (dice_with(with_polygons), [DETECTION, SEGMENTATION]),
        (dice_with(lambda content: with_polygons(content, crowd=True)), [DETECTION, SEGMENTATION]),
        (dice_with(with_keypoints), [DETECTION, POSE]),
        (turned_boxes(), [DETECTION, ORIENTED]),
        (annotated.dice(), [DETECTION]),
    ],
    ids=["polygons", "polygons and a crowd", "keypoints", "rotated boxes", "boxes"],
)
async def test_the_tasks_are_those_that_the_annotations_can_train(
    ada: Client, files: dict[str, bytes], tasks: list[int]
) -> None:
    dataset = await ada.analysed(spec(format=UNSPECIFIED), files)
    assert dataset.state == READY, await ada.problems(dataset.id)
    assert [*dataset.task_types] == tasks
    # A crowd is no object.
    assert dataset.object_count == 9


async def test_one_class_is_enough_to_detect(ada: Client) -> None:
    scene = [image("1.png", "train", box(0, 4, 4, 16, 12)), image("2.png", "val", box(0, 4, 4, 16, 12))]
    dataset = await ada.analysed(spec(format=COCO), annotated.coco(scene, ["cat"]))
    assert (dataset.state, dataset.num_classes) == (READY, 1)


def unsplit(count: int) -> list[object]:
    """Images without a split: every third shows a cat and a dog, every fifth nothing, the others a cat."""
    found = []
    for number in range(count):
        objects: list[AnnotatedObject] = [] if number % 5 == 4 else [box(0, 4, 4, 16, 12)]
        if objects and number % 3 == 0:
            objects.append(box(1, 30, 8, 20, 20))
        found.append(image(f"{number:02}.png", "", *objects))
    return [*found]


async def test_a_made_split_follows_the_seed_and_has_its_share_of_every_class(ada: Client) -> None:
    files = annotated.dice(unsplit(40))  # type: ignore[arg-type]

    async def made(seed: int, given: dict[str, bytes]) -> tuple[dataset_pb2.Dataset, set[str]]:
        dataset = await ada.analysed(spec(format=DICE, val_fraction=0.25, split_seed=seed), given)
        listed = await ada.files(dataset.id)
        return dataset, {path for path, file in listed.items() if file.split == "val"}

    dataset, val = await made(1, files)
    assert dataset.state == READY, await ada.problems(dataset.id)
    statistics = await ada.statistics(dataset.id)
    assert dict(statistics.images) == {"train": 30, "val": 10}
    assert dict(statistics.images_without_objects) == {"train": 6, "val": 2}
    assert distribution(dataset)["val"] == {"cat": 8, "dog": 3}
    assert (await made(1, dict(reversed(files.items()))))[1] == val
    assert (await made(2, files))[1] != val


async def test_copies_of_one_image_stay_together_whatever_is_drawn_on_them(ada: Client) -> None:
    scene = unsplit(20)
    files = annotated.dice(scene)  # type: ignore[arg-type]
    for number in range(0, 20, 2):  # every image twice, with other objects on the second
        files[f"images/{number + 1:02}.png"] = files[f"images/{number:02}.png"]
    dataset = await ada.analysed(spec(format=DICE, val_fraction=0.3), files)
    listed = await ada.files(dataset.id)
    splits = [listed[f"images/{number:02}.png"].split for number in range(20)]
    assert splits[0::2] == splits[1::2]
    assert {"train", "val"} == set(splits)
    assert await ada.problems(dataset.id) == []


async def test_images_without_a_split_are_divided_and_the_given_ones_stay(ada: Client) -> None:
    scene = [*unsplit(20), image("given.png", "val", box(1, 4, 4, 16, 12))]
    files = annotated.dice(scene)  # type: ignore[arg-type]
    files["images/00.png"] = files["images/given.png"]  # the same image, once with a split
    dataset = await ada.analysed(spec(format=DICE, val_fraction=0.2), files)
    listed = await ada.files(dataset.id)
    assert listed["images/given.png"].split == listed["images/00.png"].split == "val"
    assert sum(file.split == "val" for file in listed.values()) == 6


def only(split: str) -> dict[str, bytes]:
    return annotated.coco([of for of in SCENE if of.split == split])


def without_objects() -> dict[str, bytes]:
    return annotated.dice([replace(of, objects=()) for of in SCENE])


def all_broken() -> dict[str, bytes]:
    return {path: b"no" if path.endswith(".png") else data for path, data in annotated.dice().items()}


@pytest.mark.parametrize(
    ("files", "fields", "kind", "said"),
    [
        (without_objects(), {"format": DICE}, "no_objects", "No object"),
        (all_broken(), {"format": DICE}, "no_images", "No image that can be used"),
        (only("val"), {"format": COCO}, "no_training_images", "'train'"),
        (only("train"), {"format": COCO, "val_fraction": 0.0}, "no_validation_images", "val_fraction"),
        (
            annotated.dice([image("1.png", "train"), image("2.png", "val", box(0, 1, 1, 9, 9))]),
            {"format": DICE},
            "no_training_objects",
            "No training image",
        ),
    ],
    ids=["no objects", "all broken", "only val", "no val", "objects only in val"],
)
async def test_what_cannot_be_trained_on_fails_and_says_why(
    ada: Client, store: LocalObjectStore, files: dict[str, bytes], fields: dict[str, object], kind: str, said: str
) -> None:
    dataset = await ada.analysed(spec("not trainable", **fields), files)
    assert (dataset.state, dataset.failure.reason) == (FAILED, "DATASET_NOT_TRAINABLE")
    assert said in dataset.failure.message
    assert [problem.kind for problem in await ada.problems(dataset.id) if problem.severity == 2] == [kind]
    assert [*store.list("manifests/"), *store.list("annotations/")] == []


async def test_a_failed_dataset_of_objects_is_repaired_by_the_images_it_lacked(ada: Client) -> None:
    files = annotated.dice()
    dataset_id = await ada.filled({"annotations.json": files.pop("annotations.json")}, spec(format=UNSPECIFIED))
    await ada.finalize(dataset_id)
    failed = (await ada.watch(dataset_id))[-1].dataset
    assert (failed.state, failed.manifest_digest) == (FAILED, "")
    await ada.send(files_to(dataset_id, files))
    await ada.finalize(dataset_id)
    ready = (await ada.watch(dataset_id))[-1].dataset
    assert (ready.state, ready.format, ready.object_count) == (READY, DICE, 9)
    assert await ada.problems(dataset_id) == []


async def test_classes_that_no_one_can_learn_or_measure_are_told_and_not_refused(ada: Client) -> None:
    scene = [image("1.png", "train", box(0, 4, 4, 16, 12)), image("2.png", "val", box(1, 4, 4, 16, 12))]
    dataset = await ada.analysed(spec(format=COCO), annotated.coco(scene, ["cat", "dog", "newt"]))
    assert dataset.state == READY
    told = [(problem.kind, problem.message.split("'")[1]) for problem in await ada.problems(dataset.id)]
    assert told == [
        ("class_without_validation_objects", "cat"),
        ("class_without_training_objects", "dog"),
        ("class_without_training_objects", "newt"),
    ]


async def test_deleting_removes_the_annotations_too(ada: Client, store: LocalObjectStore) -> None:
    dataset = await ada.analysed(spec(format=COCO), annotated.coco())
    assert store.stat(keys.dataset_annotations(dataset.id)).size_bytes
    await ada.delete(dataset.id)
    assert [*store.list("")] == []


async def test_annotation_files_that_changed_in_the_store_are_found(ada: Client, store: LocalObjectStore) -> None:
    for change, path in ((True, "annotations.json"), (False, "annotations.json")):
        dataset_id = await ada.filled(annotated.dice(), spec(format=DICE))
        key = keys.dataset_file(dataset_id, path)
        if change:
            store.put(key, store.get(key) + b" ")
        else:
            store.delete(key)
        await ada.finalize(dataset_id)
        dataset = (await ada.watch(dataset_id))[-1].dataset
        assert (dataset.state, dataset.failure.reason) == (FAILED, "STORAGE_CORRUPT")
        (problem,) = await ada.problems(dataset_id)
        assert (problem.path, problem.kind) == (path, "storage_corrupt")


async def test_an_unknown_format_fails_with_what_was_looked_for(ada: Client) -> None:
    dataset = await ada.analysed(spec(format=UNSPECIFIED), {"notes.txt": b"hello", "photo.png": picture(1)})
    assert (dataset.state, dataset.format, dataset.format_detected_from) == (FAILED, UNSPECIFIED, "")
    (problem,) = await ada.problems(dataset.id)
    assert problem.kind == "unknown_format"
    assert all(name in problem.message for name in ("DICE", "COCO", "YOLO", "VOC", "IMAGE_FOLDER"))
    assert "annotations.json" in dataset.failure.message

    # What was detected is no one's wish: with other files it is looked for again.
    await ada.send(files_to(dataset.id, annotated.yolo()))
    await ada.finalize(dataset.id)
    ready = (await ada.watch(dataset.id))[-1].dataset
    assert (ready.state, ready.format) == (READY, YOLO)
    assert "data.yaml" in ready.format_detected_from


def test_a_box_of_the_scene_is_where_it_was_drawn() -> None:
    assert box(0, 1, 2, 3, 4).box == Box(1, 2, 4, 6)
