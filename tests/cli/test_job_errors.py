"""``jobs errors``: the sheet of what a model got wrong, against a stand-in."""

from __future__ import annotations

import io
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Command
from tests.cli.stand_in import StandIn
from visionmesh.cli.error_sheet import SIDE, TRUE, WRONG, Colour
from visionmesh.v1 import dataset_pb2, training_pb2

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


def test_what_cannot_be_drawn_says_why(
    visionmesh: Command, stand_in: StandIn, job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in (["-o", "sheet.gif"], ["-o", "none/sheet.png"], ["--limit", "101"]):
        assert visionmesh("jobs", "errors", job, *wrong).code == 2
    assert visionmesh("jobs", "errors", "none").code == 3

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
