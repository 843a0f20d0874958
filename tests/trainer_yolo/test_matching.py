"""What became of each object of a validation image, beside ultralytics' own confusion matrix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ultralytics.utils.metrics import ConfusionMatrix

from annotations.document import read_images
from storage.objects.object_images import ObjectImage, ObjectMatch, Outcome
from storage.objects.validation_images import ValidationImages, encode
from tests.trainer_yolo.helpers import CLASS_NAMES, TINY, TINY_TRANSFORMER, Recorder, make_spec, matrix_of
from trainer.adapter import TrainingDataset
from trainer_yolo import matching, trainers
from trainer_yolo.adapter import YoloAdapter
from trainer_yolo.names import DETECTION, ORIENTED

CLASSES = 3


def boxes(rng: np.random.Generator, count: int, *, rotated: bool) -> torch.Tensor:
    """Boxes that overlap often."""
    centres, sides = rng.uniform(20, 60, (count, 2)), rng.uniform(15, 35, (count, 2))
    if rotated:
        return torch.tensor(np.hstack([centres, sides, rng.uniform(-0.7, 0.7, (count, 1))]), dtype=torch.float32)
    return torch.tensor(np.hstack([centres - sides / 2, centres + sides / 2]), dtype=torch.float32)


def images_of(rows: list[dict[str, Any]]) -> ValidationImages:
    """Rows as they are written and read again."""
    images = [
        ObjectImage(row["path"], row["width"], row["height"], tuple(ObjectMatch(*item) for item in row["objects"]))
        for row in rows
    ]
    return ValidationImages.decode(encode(1, [*map(str, range(CLASSES))], images))


@pytest.mark.parametrize("rotated", [False, True])
def test_objects_are_matched_as_the_confusion_matrix_matches_them(rotated: bool) -> None:
    rng = np.random.default_rng(5)
    expected = ConfusionMatrix(names=dict(enumerate("abc")))
    rows = []
    for number in range(120):
        there, found = rng.integers(0, 7, 2)
        truth = {
            "bboxes": boxes(rng, there, rotated=rotated),
            "cls": torch.tensor(rng.integers(0, CLASSES, there), dtype=torch.float32),
            "imgsz": (100, 100),
            "ori_shape": (200, 100),
            "ratio_pad": ((0.5, 0.5), (25, 0)),
            "im_file": f"/data/val/{number:03}.png",
        }
        finds = {
            "bboxes": boxes(rng, found, rotated=rotated),
            "conf": torch.tensor(rng.uniform(0, 1, found).round(1), dtype=torch.float32),  # of the same confidence, too
            "cls": torch.tensor(rng.integers(0, CLASSES, found), dtype=torch.float32),
        }
        rows.append(matching.image_row(Path("/data"), finds, truth))
        expected.process_batch(finds, truth, conf=matching.CONFIDENCE, iou_thres=matching.IOU)
    images = images_of(rows)
    assert images.confusion_matrix() == expected.matrix.T.astype(int).tolist()
    outcomes = {item.outcome for place in range(len(images)) for item in image(images, place).objects}
    assert outcomes == set(Outcome)
    numbers = {len(box) for row in rows for item in row["objects"] for box in item[4:] if box is not None}
    assert numbers == {8 if rotated else 4}


def image(images: ValidationImages, place: int) -> ObjectImage:
    found = images[place]
    assert isinstance(found, ObjectImage)
    return found


def test_a_model_that_puts_boxes_nowhere_breaks_nothing() -> None:
    truth = {
        "bboxes": torch.tensor([[0.0, 0, 5, 5]]),
        "cls": torch.tensor([1.0]),
        "imgsz": (10, 10),
        "ori_shape": (10, 10),
        "ratio_pad": ((1.0, 1.0), (0, 0)),
        "im_file": "/data/a.png",
    }
    lost = torch.tensor([[float("nan")] * 4, [float("inf")] * 4])
    finds = {"bboxes": lost, "conf": torch.tensor([0.9, 0.8]), "cls": torch.tensor([0.0, 1.0])}
    [row] = [image(images_of([matching.image_row(Path("/data"), finds, truth)]), 0)]
    assert [item.outcome for item in row.objects] == [Outcome.MISS, Outcome.FALSE_ALARM, Outcome.FALSE_ALARM]
    assert row.loss == pytest.approx(2.7)


@pytest.mark.parametrize("model_name", [TINY[DETECTION], TINY[ORIENTED], TINY_TRANSFORMER])
def test_a_training_tells_what_became_of_each_object(
    model_name: str,
    dataset_of: Callable[[str], TrainingDataset],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A model that has learnt nothing is sure of nothing.
    for module in (matching, trainers):
        monkeypatch.setattr(module, "CONFIDENCE", 0.0)
    task_type = ORIENTED if model_name == TINY[ORIENTED] else DETECTION
    recorder, dataset = Recorder(), dataset_of(task_type)
    spec = make_spec(task_type, model_name=model_name, epochs=1)
    assert YoloAdapter().train(spec, dataset, tmp_path, recorder)
    summary: Any = recorder.validations[0][1]
    assert summary["class_names"] == CLASS_NAMES
    rows = {row["path"]: row for row in summary["images"]}
    assert dataset.annotations is not None
    there = {item.path: item for item in read_images(dataset.annotations) if item.split == "val"}
    assert set(rows) == set(there)
    for path, row in rows.items():
        annotated = there[path]
        assert (row["width"], row["height"]) == (annotated.width, annotated.height)
        objects = [ObjectMatch(*item) for item in row["objects"]]
        truths = [item for item in objects if item.truth_box is not None]
        assert [item.label_id for item in truths] == [item.category_id for item in annotated.objects]
        for match, item in zip(truths, annotated.objects, strict=True):
            assert match.truth_box is not None
            across, down = match.truth_box[0::2], match.truth_box[1::2]
            box = (min(across), min(down), max(across), max(down))
            assert box == pytest.approx((item.box.x_min, item.box.y_min, item.box.x_max, item.box.y_max), abs=0.6)
    matrix = matrix_of(rows.values(), 2)
    assert matrix == summary["confusion_matrix"]
    # One that looks for rotated boxes finds nothing at all so early.
    assert sum(map(sum, matrix)) > sum(row[-1] for row in matrix) or task_type == ORIENTED


def test_objects_of_a_training_of_a_single_class_are_of_that_one(
    dataset_of: Callable[[str], TrainingDataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (matching, trainers):
        monkeypatch.setattr(module, "CONFIDENCE", 0.0)
    recorder = Recorder()
    spec = make_spec(DETECTION, {"learning.single_cls": True}, epochs=1)
    assert YoloAdapter().train(spec, dataset_of(DETECTION), tmp_path, recorder)
    summary: Any = recorder.validations[0][1]
    assert summary["class_names"] == ("item",)
    matrix = matrix_of(summary["images"], 1)
    assert matrix == summary["confusion_matrix"] and sum(matrix[0]) == 6 and matrix[1][0] > 0
