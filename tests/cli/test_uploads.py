"""``datasets upload``, ``list``, ``show`` and ``delete``, against a stand-in gateway."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import CREATE, Command
from tests.cli.stand_in import StandIn
from visionmesh.v1 import common_pb2, dataset_pb2


def test_upload_reports_the_dataset_and_what_was_skipped(visionmesh: Command, stand_in: StandIn, folder: Path) -> None:
    done = visionmesh("datasets", "upload", str(folder), "--tag", "a", "--tag", "b", "--format", "dice")
    assert done.code == 0, done.err
    assert "READY" in done.out and "d1" in done.out
    assert "skipped 3 hidden: .DS_Store, .git/, cat/Thumbs.db" in done.err
    assert "uploaded 6 files" in done.err
    spec = stand_in.datasets.specs["d1"]
    assert (spec.format, list(spec.tags)) == (dataset_pb2.DATASET_FORMAT_DICE, ["a", "b"])


def test_upload_in_json_is_one_document(visionmesh: Command, folder: Path) -> None:
    done = visionmesh("datasets", "upload", str(folder), "--json")
    assert done.document["dataset"]["state"] == "DATASET_STATE_READY"
    assert done.document["dataset"]["total_size_bytes"].isdigit()
    assert done.document["skipped"] == [".DS_Store", ".git/", "cat/Thumbs.db"]
    assert done.err == ""


def test_upload_that_cannot_be_trained_on_fails(visionmesh: Command, stand_in: StandIn, folder: Path) -> None:
    stand_in.datasets.broken_image = True
    done = visionmesh("datasets", "upload", str(folder))
    assert done.code == 1
    assert "DATASET_NOT_TRAINABLE: One class only." in done.out
    assert "broken_image" in done.out and "cat/1.png" in done.out


def test_interrupted_upload_says_how_to_go_on(visionmesh: Command, stand_in: StandIn, folder: Path) -> None:
    found = visionmesh("datasets", "upload", str(folder), "--no-wait")
    assert found.code == 0
    del stand_in.datasets.files["d1"]["cat/2.png"]
    (folder / "cat" / "1.png").write_bytes(b"another")
    refused = visionmesh("datasets", "upload", str(folder), "--resume", "d1")
    assert refused.code == 2
    assert "cat/1.png has changed since it was uploaded" in refused.err
    assert f"visionmesh datasets upload {folder} --resume d1" in refused.err


def test_upload_takes_an_archive_and_detects_the_format(visionmesh: Command, stand_in: StandIn, tmp_path: Path) -> None:
    (tmp_path / "pets.zip").write_bytes(b"packed")
    done = visionmesh("datasets", "upload", "pets.zip", "--streams", "2")
    assert done.code == 0, done.err
    assert "uploaded pets.zip, 6 B" in done.err
    assert stand_in.datasets.unpacked == ["pets.zip"]
    assert stand_in.datasets.specs["d1"].format == dataset_pb2.DATASET_FORMAT_UNSPECIFIED


def test_upload_that_is_given_up_says_why_and_how_to_go_on(
    visionmesh: Command, stand_in: StandIn, folder: Path
) -> None:
    stand_in.datasets.broken = True
    done = visionmesh("datasets", "upload", str(folder), "--give-up-after", "0.3")
    assert done.code == 5
    assert "SHUTTING_DOWN: The server is draining.; going on in" in done.err
    assert "given up after 0.3 s in which nothing got through" in done.err
    assert f"visionmesh datasets upload {folder} --resume d1" in done.err
    stand_in.datasets.broken = False
    assert visionmesh("datasets", "upload", str(folder), "--resume", "d1").code == 0


def test_datasets_are_listed_shown_and_deleted(visionmesh: Command, stand_in: StandIn, folder: Path) -> None:
    visionmesh("datasets", "upload", str(folder))
    assert "pets" in visionmesh("datasets", "list", "--state", "ready").out
    assert "no datasets" in visionmesh("datasets", "list", "--state", "failed").out
    assert visionmesh("datasets", "show", "d1", "--json").document["dataset"]["file_count"] == 6
    assert visionmesh("datasets", "delete", "d1", "--yes").out == "deleted d1\n"
    assert stand_in.datasets.datasets == {}


def test_a_dataset_is_shown_with_its_statistics(visionmesh: Command, stand_in: StandIn, folder: Path) -> None:
    visionmesh("datasets", "upload", str(folder))
    dataset = stand_in.datasets.datasets["d1"]
    del dataset.class_names[:]
    dataset.MergeFrom(
        dataset_pb2.Dataset(
            format=dataset_pb2.DATASET_FORMAT_YOLO,
            format_detected_from="data.yaml names the folders of its splits",
            class_names=["cat", *(f"class {number}" for number in range(24))],
            class_distribution={"train": dataset_pb2.ClassDistribution(images={"cat": 31})},
            task_types=[common_pb2.TASK_TYPE_OBJECT_DETECTION],
            object_count=47,
        )
    )
    stand_in.datasets.statistics["d1"] = dataset_pb2.DatasetStatistics(
        images={"train": 33, "val": 8},
        images_without_objects={"train": 2},
        objects={"train": dataset_pb2.ObjectDistribution(objects={"cat": 40})},
        objects_per_image=dataset_pb2.Histogram(lower_bounds=[0, 1, 2, 3], counts=[2, 30, 9, 0]),
        relative_box_sizes=dataset_pb2.Histogram(lower_bounds=[0, 0.5], counts=[1, 46]),
    )
    lines = [line.split() for line in visionmesh("datasets", "show", "d1").out.splitlines()]
    assert "detected: data.yaml names the folders" in " ".join(next(line for line in lines if line[:1] == ["format"]))
    assert ["tasks", "OBJECT_DETECTION"] in lines and ["objects", "47"] in lines
    assert ["class", "train", "val"] in lines
    assert ["cat", "40", "in", "31", "0", "in", "0"] in lines
    assert ["(no", "objects)", "2", "0"] in lines and ["images", "33", "8"] in lines
    assert ["class", "18", "0", "in", "0", "0", "in", "0"] in lines
    assert ["and", "5", "more", "classes;", "--json", "lists", "all"] in lines
    bars = {" ".join(line[:-2]): (line[-2], len(line[-1])) for line in lines if line and set(line[-1]) == {"█"}}
    assert bars == {
        "0": ("2", 2),
        "1": ("30", 24),
        "2": ("9", 7),
        "0 to 0.5": ("1", 1),
        "from 0.5": ("46", 24),
    }
    document = visionmesh("datasets", "show", "d1", "--json").document
    assert document["statistics"]["images"] == {"train": 33, "val": 8}


def test_a_dataset_is_looked_at_as_asked(visionmesh: Command, stand_in: StandIn) -> None:
    for text in ("crops", "image-labels", "IMAGE_LABELS"):
        assert visionmesh(*CREATE, "--dataset-view", text).code == 0
    views = [visionmesh("jobs", "show", job, "--json").document["dataset_view"] for job in ("j1", "j2", "j3")]
    assert views == ["DATASET_VIEW_CROPS", "DATASET_VIEW_IMAGE_LABELS", "DATASET_VIEW_IMAGE_LABELS"]
    assert "crops" in visionmesh("jobs", "show", "j1").out
    refused = visionmesh(*CREATE, "--dataset-view", "portraits")
    assert refused.code == 2 and "crops" in refused.err and "image_labels" in refused.err
