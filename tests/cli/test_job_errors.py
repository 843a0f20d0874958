"""``jobs errors``: the sheet of what a model got wrong, against a stand-in."""

from __future__ import annotations

import io
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Command
from tests.cli.stand_in import StandIn
from visionmesh.cli.error_boxes import TRUE, WRONG, Colour
from visionmesh.cli.error_sheet import OBJECTS_SIDE, SIDE
from visionmesh.v1 import dataset_pb2, inference_pb2, job_state_pb2, training_pb2

RED, GREEN = (200, 30, 30), (30, 160, 30)


def encoded(colour: Colour) -> bytes:
    """A picture of one colour as a preview comes."""
    file = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE // 2), colour).save(file, "PNG")
    return file.getvalue()


def colours(path: Path) -> Counter[Colour]:
    """Pixels by colour of a picture without loss."""
    with Image.open(path) as opened:
        return Counter(zip(*(opened.getchannel(band).tobytes() for band in "RGB"), strict=True))


@pytest.fixture
def job(stand_in: StandIn, visionmesh: Command) -> str:
    """A job on a dataset of which one image is broken."""
    stand_in.datasets.datasets["d1"] = dataset_pb2.Dataset(id="d1")
    stand_in.datasets.pictures = {"val/cat/0.png": encoded(RED), "val/cat/2.png": b""}
    create = ("jobs", "create", "--framework", "timm", "--model", "resnet18", "--dataset", "d1", "--epochs", "2")
    assert visionmesh(*create).code == 0
    return "j1"


def test_the_worst_images_are_drawn_with_what_was_said_of_them(
    visionmesh: Command, stand_in: StandIn, job: str, tmp_path: Path
) -> None:
    done = visionmesh(
        "jobs", "errors", job, "-o", "sheet.png", "--label", "cat", "--predicted", "dog", "--checkpoint", "c"
    )
    assert done.code == 0, done.err
    assert "saved sheet.png: 2 images" in done.out
    asked = stand_in.training.image_requests[0]
    assert (asked.correct, asked.HasField("correct"), asked.label, asked.predicted_label) == (False, True, "cat", "dog")
    assert asked.order == training_pb2.VALIDATION_IMAGE_ORDER_LARGEST_LOSS_FIRST
    assert (asked.checkpoint_id, asked.page_size) == ("c", 24)
    found = colours(tmp_path / "sheet.png")
    assert found[RED] == SIDE * SIDE // 2  # the one image; the other is broken
    assert min(found[TRUE], found[WRONG]) > 50

    done = visionmesh("jobs", "errors", job, "--limit", "1", "--json")
    assert (done.document["path"], [item["path"] for item in done.document["images"]]) == (
        "j1-errors.jpg",
        ["val/cat/0.png"],
    )
    with Image.open(tmp_path / "j1-errors.jpg") as picture:
        assert picture.format == "JPEG" and picture.width < 2 * SIDE


def test_a_crop_is_shown_in_its_whole_image(visionmesh: Command, stand_in: StandIn, job: str, tmp_path: Path) -> None:
    stand_in.training.jobs[job].dataset_view = training_pb2.DATASET_VIEW_CROPS
    said = [training_pb2.LabelScore(label="car", confidence=0.5)]
    crop = training_pb2.ValidationImage(path="val/a##1.jpg#12.png", label="bus", predictions=said)
    stand_in.training.images = [crop]
    stand_in.datasets.pictures["val/a#1.jpg"] = encoded(GREEN)
    assert visionmesh("jobs", "errors", job, "-o", "sheet.png").code == 0
    assert colours(tmp_path / "sheet.png")[GREEN] == SIDE * SIDE // 2


def objects() -> list[training_pb2.ValidationImage]:
    """An image with an object of each outcome, upright ones but for the last, and one that is taken for empty."""
    box = inference_pb2.Box(x_min=100, y_min=100, x_max=300, y_max=300)
    beside = inference_pb2.Box(x_min=400, y_min=100, x_max=500, y_max=300)
    lost = inference_pb2.Box(x_min=-1e6, y_min=-1e6, x_max=1e6, y_max=1e6)
    turned = [inference_pb2.Point(x=x, y=y) for x, y in ((700, 100), (800, 200), (700, 300), (600, 200))]
    first = training_pb2.ValidationImage(
        path="val/a.png",
        width=960,
        height=480,
        loss=3.5,
        objects=[
            match("HIT", "cat", "cat", box, box),
            match("MISS", "dog", "", beside, None),
            match("FALSE_ALARM", "", "dog", None, lost),
            match("WRONG_CLASS", "cat", "owl", lost, lost, turned),
        ],
    )
    second = training_pb2.ValidationImage(path="val/b.png", width=1, height=1, loss=1, objects=[first.objects[1]])
    return [first, second]


def match(
    outcome: str,
    label: str,
    predicted: str,
    truth: inference_pb2.Box | None,
    found: inference_pb2.Box | None,
    corners: Sequence[inference_pb2.Point] = (),
) -> training_pb2.ObjectMatch:
    return training_pb2.ObjectMatch(
        outcome=f"OBJECT_OUTCOME_{outcome}",
        label=label,
        predicted_label=predicted,
        confidence=0.5 if found is not None else None,
        truth_box=truth,
        predicted_box=found,
        truth_corners=corners,
        predicted_corners=corners,
    )


def test_objects_are_drawn_where_they_are_and_where_they_were_found(
    visionmesh: Command, stand_in: StandIn, job: str, tmp_path: Path
) -> None:
    stand_in.training.images = objects()
    stand_in.datasets.pictures = {"val/a.png": encoded(GREEN), "val/b.png": b""}
    assert visionmesh("jobs", "errors", job, "-o", "sheet.png").code == 0
    with Image.open(tmp_path / "sheet.png") as opened:
        sheet = opened.convert("RGB")
    assert sheet.width > 2 * OBJECTS_SIDE
    # The preview is a third of the image; find where it lies by its own colour.
    green = [(x, y) for x in range(sheet.width) for y in range(60, 400) if sheet.getpixel((x, y)) == GREEN]
    left, top = min(x for x, _ in green), min(y for _, y in green)

    def drawn(x: float, y: float) -> set[object]:
        """The colours around a point of the image."""
        across, down = left + round(x / 3), top + round(y / 3)
        near = [(across + dx, down + dy) for dx in range(-4, 5) for dy in range(-4, 5)]
        return {sheet.getpixel(place) for place in near}

    assert TRUE in drawn(100, 200) and WRONG not in drawn(100, 200)  # the hit
    assert TRUE in drawn(500, 200) and WRONG not in drawn(500, 200)  # the miss
    dashes = [WRONG in drawn(700 + step, 100 + step) for step in range(0, 100, 10)]
    assert any(dashes)  # the wrong class, along its slanting side
    assert drawn(200, 200) == {GREEN}

    listed = visionmesh("jobs", "images", job).out.splitlines()
    assert ["val/a.png", "1", "1", "1", "1", "3.5000", "wrong"] in [line.split() for line in listed]
    assert any("missed" in line and "false alarms" in line for line in listed)
    every = visionmesh("jobs", "images", job, "--json").document["images"]
    assert every[0]["objects"][1]["outcome"] == "OBJECT_OUTCOME_MISS"


def test_what_cannot_be_drawn_says_why(
    visionmesh: Command, stand_in: StandIn, job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in (["-o", "sheet.gif"], ["-o", "none/sheet.png"], ["--limit", "101"]):
        assert visionmesh("jobs", "errors", job, *wrong).code == 2
    assert visionmesh("jobs", "errors", "none").code == 3

    stand_in.training.jobs[job].state = job_state_pb2.JOB_STATE_RUNNING
    early = visionmesh("jobs", "errors", job)
    assert early.code == 1 and "NO_CHECKPOINT: Job j1 has no checkpoint yet." in early.err
    stand_in.training.jobs[job].state = job_state_pb2.JOB_STATE_COMPLETED

    del stand_in.datasets.datasets["d1"]
    gone = visionmesh("jobs", "errors", job, "--json")
    assert (gone.code, gone.error["reason"]) == (3, "DATASET_NOT_FOUND")
    assert "dataset d1 of job j1 is deleted" in gone.error["message"]

    stand_in.training.images = []
    done = visionmesh("jobs", "errors", job)
    assert (done.code, done.out) == (0, "no such image is wrong: nothing was saved\n")
    assert visionmesh("jobs", "errors", job, "--json").document == {"path": "", "images": []}
    assert not [*tmp_path.glob("*.*g")]

    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    missing = visionmesh("jobs", "errors", job)
    assert missing.code == 1 and "pip install 'visionmesh[draw]'" in missing.err
