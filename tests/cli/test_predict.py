"""``visionmesh predict``: what it asks, draws, and writes for COCO's evaluation."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.cli.conftest import Command
from tests.cli.stand_in import StandIn
from tests.cli.stand_in_inference import HEIGHT, TASKS, WIDTH
from visionmesh.cli.coco_results import compress
from visionmesh.cli.drawing import colour_of
from visionmesh.v1 import inference_pb2

DOG = colour_of(1)
GREY = (128, 128, 128)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (WIDTH, HEIGHT), GREY).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three images in two folders, two of the same name."""
    root = tmp_path / "photos"
    for name in ("b/1.png", "a/1.png", "a/2.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT), GREY).save(root / name)
    return root


def near(colour: Any, other: tuple[int, int, int], most: int = 40) -> bool:
    """Whether colours are the same but for what JPEG makes of them."""
    return max(abs(int(one) - two) for one, two in zip(colour, other, strict=True)) <= most


def test_what_is_asked_for_reaches_the_server(visionmesh: Command, stand_in: StandIn, photo: Path) -> None:
    plain = visionmesh("predict", "boxes", str(photo), "--json")
    options = ("--iou", "0.5", "--confidence", "0", "--max-detections", "7", "--labels", "cat", "--labels", "a, b")
    assert visionmesh("predict", "boxes", str(photo), *options).code == plain.code == 0
    first, second = stand_in.inference.asked
    assert not first.HasField("iou_threshold") and not first.HasField("confidence_threshold")
    assert (first.max_detections, list(first.labels)) == (0, [])
    assert second.HasField("confidence_threshold") and second.confidence_threshold == 0
    assert (second.iou_threshold, second.max_detections) == (0.5, 7)
    assert list(second.labels) == ["cat", "a, b"]
    assert {item.mask_encoding for item in (first, second)} == {inference_pb2.MASK_ENCODING_UNSPECIFIED}


@pytest.mark.parametrize("wrong", [("--iou", "1.5"), ("--max-detections", "3001"), ("--draw", "photo.png")])
def test_what_the_server_would_refuse_is_refused_here(visionmesh: Command, photo: Path, wrong: tuple[str, str]) -> None:
    assert visionmesh("predict", "boxes", str(photo), *wrong).code == 2


@pytest.mark.parametrize("job", TASKS)
def test_what_is_found_is_drawn_on_the_image(job: str, visionmesh: Command, photo: Path, tmp_path: Path) -> None:
    done = visionmesh("predict", job, str(photo), "--draw", "drawn")
    assert done.code == 0, done.err
    assert "drawn/photo-predicted.jpg" in done.err
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["photo-predicted.jpg"]
    drawn = Image.open(tmp_path / "drawn" / "photo-predicted.jpg")
    # Small images are enlarged.
    times = drawn.width // WIDTH
    assert drawn.size == (WIDTH * times, HEIGHT * times) and drawn.width >= 640

    def at(x: float, y: float) -> Any:
        return drawn.getpixel((round(x * times), round(y * times)))

    assert near(at(30, 15), DOG) and near(at(20, 25), DOG)
    assert near(at(50, 35), GREY)
    # The mask tints what it covers, and a box does not.
    assert near(at(20, 15), GREY) == (job != "masks")
    # A point has a white rim; one that the model is not sure of is left out.
    whitest = [
        np.asarray(drawn.crop((x * times, 25 * times + 3, (x + 1) * times, 26 * times)), dtype=int).min(axis=2).max()
        for x in (30, 10)
    ]
    assert [white > 190 for white in whitest] == [job == "poses", False]
    assert near(at(10.2, 3.9), DOG)  # the label


def test_masks_as_run_lengths_are_drawn_where_polygons_are(visionmesh: Command, photo: Path, tmp_path: Path) -> None:
    assert visionmesh("predict", "masks", str(photo), "--draw", "one").code == 0
    assert visionmesh("predict", "masks", str(photo), "--draw", "other", "--coco", "results.json").code == 0
    one, other = (
        np.asarray(Image.open(tmp_path / folder / "photo-predicted.jpg"), dtype=int) for folder in ("one", "other")
    )
    assert (np.abs(one - other).max(axis=2) > 40).mean() < 0.01


def test_classes_of_an_image_are_bars(visionmesh: Command, photo: Path, tmp_path: Path) -> None:
    assert visionmesh("predict", "j1", str(photo), "--draw", ".", "--json").code == 0
    drawn = np.asarray(Image.open(tmp_path / "photo-predicted.jpg"), dtype=int)
    cat, dog = ((np.abs(drawn - np.array(colour_of(label_id))).max(axis=2) < 40).sum() for label_id in (0, 1))
    assert cat > 2 * dog > 0


def test_an_image_is_drawn_upright(visionmesh: Command, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = Image.new("RGB", (HEIGHT, WIDTH), GREY)
    lying.save(tmp_path / "lying.png", exif=exif)
    assert visionmesh("predict", "boxes", "lying.png", "--draw", "drawn").code == 0
    drawn = Image.open(tmp_path / "drawn" / "lying-predicted.jpg")
    assert drawn.width > drawn.height
    assert ImageOps.exif_transpose(drawn).size == drawn.size


def test_folders_keep_their_shape_and_no_picture_replaces_another(
    visionmesh: Command, photos: Path, tmp_path: Path
) -> None:
    alike = [str(photos / "a" / "1.png"), str(photos / "b" / "1.png")]
    done = visionmesh("predict", "boxes", str(photos), *alike, "--draw", "d")
    assert done.code == 0, done.err
    drawn = (path for path in (tmp_path / "d").rglob("*") if path.is_file())
    assert sorted(path.relative_to(tmp_path / "d").as_posix() for path in drawn) == [
        "1-predicted-2.jpg",
        "1-predicted.jpg",
        "a/1-predicted.jpg",
        "a/2-predicted.jpg",
        "b/1-predicted.jpg",
    ]


def test_an_image_that_cannot_be_drawn_is_told_and_the_others_are(visionmesh: Command, tmp_path: Path) -> None:
    # The stand-in takes all that begins like a PNG.
    (tmp_path / "bad.png").write_bytes(b"\x89PNG and no more")
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "good.png")
    done = visionmesh("predict", "boxes", "bad.png", "good.png", "--draw", "d", "--json")
    assert done.code == 1
    assert (done.error["reason"], done.error["image"]) == ("FILE_UNREADABLE", "bad.png")
    assert [line["image"] for line in done.lines] == ["bad.png", "good.png"]
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["good-predicted.jpg"]


def test_drawing_says_what_to_install_where_pillow_is_missing(
    visionmesh: Command, stand_in: StandIn, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    done = visionmesh("predict", "boxes", str(photo), "--draw", ".", "--json")
    assert done.code == 1
    assert done.error["reason"] == "PILLOW_MISSING" and "pip install 'visionmesh[draw]'" in done.error["message"]
    assert not stand_in.inference.asked
    assert visionmesh("predict", "boxes", str(photo)).code == 0


def test_results_for_coco_number_images_by_name_and_classes_from_one(
    visionmesh: Command, photos: Path, tmp_path: Path
) -> None:
    bad = photos / "a" / "0.png"
    bad.write_bytes(b"no image")
    done = visionmesh("predict", "boxes", str(photos / "b" / "1.png"), str(photos), "--coco", "results.json")
    assert done.code == 2  # of the bad one
    results = json.loads((tmp_path / "results.json").read_text())
    assert [(item["image_id"], item["file_name"]) for item in results] == [
        (1, "1.png"),
        (3, "a/1.png"),
        (4, "a/2.png"),
        (5, "b/1.png"),
    ]
    assert {item["category_id"] for item in results} == {2}
    assert results[0]["bbox"] == [10, 5, 20, 20] and results[0]["score"] == 0.875
    assert "segmentation" not in results[0] and "keypoints" not in results[0]
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize(("job", "kind"), [("boxes", "bbox"), ("masks", "segm"), ("poses", "keypoints")])
def test_the_evaluation_of_coco_reads_the_results(
    job: str, kind: str, visionmesh: Command, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert visionmesh("predict", job, str(photo), "--coco", "results.json").code == 0
    truth = {
        "images": [{"id": 1, "file_name": "photo.png", "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog", "keypoints": ["a", "b"]}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 2,
                "iscrowd": 0,
                "area": 400,
                "bbox": [10, 5, 20, 20],
                "segmentation": [[10, 5, 30, 5, 30, 25, 10, 25]],
                "keypoints": [30, 25, 2, 10, 25, 2],
                "num_keypoints": 2,
            }
        ],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    known = COCO(str(tmp_path / "truth.json"))
    found = known.loadRes(str(tmp_path / "results.json"))
    if job == "masks":
        [result] = json.loads((tmp_path / "results.json").read_text())
        assert coco_mask.area(result["segmentation"]) == 400
        assert coco_mask.toBbox(result["segmentation"]).tolist() == [10, 5, 20, 20]
    evaluation = COCOeval(known, found, kind)
    if kind == "keypoints":
        evaluation.params.kpt_oks_sigmas = np.array([0.1, 0.1])
        evaluation.params.areaRng[1] = [0, 1e10]
    evaluation.evaluate()
    evaluation.accumulate()
    assert evaluation.eval["precision"][:, :, 1, 0, -1].mean() == pytest.approx(1.0)


def test_a_rotated_box_is_a_polygon_for_coco(visionmesh: Command, photo: Path, tmp_path: Path) -> None:
    assert visionmesh("predict", "rotated", str(photo), "--coco", "results.json").code == 0
    [result] = json.loads((tmp_path / "results.json").read_text())
    assert result["segmentation"] == [[10, 5, 30, 5, 30, 25, 10, 25]]


def test_classes_of_images_are_no_results_for_coco(visionmesh: Command, photo: Path, tmp_path: Path) -> None:
    done = visionmesh("predict", "j1", str(photo), "--coco", "results.json", "--json")
    assert done.code == 2 and "classifies" in done.error["message"]
    assert not (tmp_path / "results.json").exists()


def test_run_lengths_are_packed_as_coco_packs_them() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        pixels = rng.integers(0, 2, rng.integers(1, 90, 2)).repeat(rng.integers(1, 40), 0)
        mask = np.asfortranarray(pixels, dtype=np.uint8)
        height, width = mask.shape
        flat = mask.ravel(order="F")
        changes = np.flatnonzero(np.diff(flat)) + 1
        runs = np.diff([0, *changes, flat.size]).tolist()
        counts = [0, *runs] if flat[0] else runs
        packed = {"size": [height, width], "counts": compress(counts)}
        assert packed["counts"] == coco_mask.encode(mask)["counts"].decode()
        assert (coco_mask.decode(packed) == mask).all()
