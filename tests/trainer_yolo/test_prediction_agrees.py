"""What is answered is what ultralytics' own predictors say of the same weights and the same image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from ultralytics.models.rtdetr import RTDETRPredictor
from ultralytics.models.yolo.classify import ClassificationPredictor
from ultralytics.models.yolo.detect import DetectionPredictor
from ultralytics.models.yolo.obb import OBBPredictor
from ultralytics.models.yolo.pose import PosePredictor
from ultralytics.models.yolo.segment import SegmentationPredictor

from annotations.masks import decode_mask
from tests.trainer_yolo.checkpoints import NAMES, picture, write_checkpoint
from tests.trainer_yolo.helpers import SIZE, TINY
from trainer.adapter import Detection, PredictOptions
from trainer_yolo.checkpoint import load_model
from trainer_yolo.names import CLASSIFICATION, DETECTION, ORIENTED, POSE, SEGMENTATION
from trainer_yolo.prediction import TorchPredictor

PIXELS, CONFIDENCE = 0.5, 1e-4
OPTIONS = PredictOptions(confidence_threshold=0.5, iou_threshold=0.4, max_detections=20)
# Wide, so high that its frame is no square, smaller than the frame, and of its shape.
SIZES = ((150, 97), (40, 200), (40, 25), (SIZE, SIZE))

# One with suppression, and one whose head chooses by itself.
DETECTORS = [TINY[DETECTION], "yolov8n", "yolov10n", "yolo26n"]


def theirs(kind: Any, model: Any, image: Image.Image, **more: Any) -> Any:
    """The result of ultralytics' own predictor."""
    arguments = {
        "imgsz": SIZE,
        "conf": OPTIONS.confidence_threshold,
        "iou": OPTIONS.iou_threshold,
        "max_det": OPTIONS.max_detections,
        "rect": True,  # as ``YOLO(…).predict`` has it
        "device": "0" if torch.cuda.is_available() else "cpu",
        "verbose": False,
        "save": False,
        **more,
    }
    predictor = kind(overrides=arguments)
    # It takes arrays as BGR.
    [result] = predictor(np.ascontiguousarray(np.asarray(image)[..., ::-1]), model)
    return result


def loaded(folder: Path, model_name: str, *, values: int = 3) -> tuple[TorchPredictor, Any]:
    """A checkpoint as we serve it, and its model for ultralytics to serve."""
    checkpoint = write_checkpoint(folder, model_name, values=values)
    return TorchPredictor(checkpoint, 1), load_model(checkpoint)[1]


def ours(predictor: TorchPredictor, image: Image.Image, options: PredictOptions = OPTIONS) -> tuple[Detection, ...]:
    [prediction] = predictor.predict_batch([predictor.prepare(image)], [options])
    return prediction.detections


def check(found: tuple[Detection, ...], boxes: Any, image: Image.Image) -> None:
    """The same boxes in the same order, on the image."""
    assert 2 <= len(found) == len(boxes)
    width, height = image.size
    mine = np.array([(item.box.x_min, item.box.y_min, item.box.x_max, item.box.y_max) for item in found])
    on_image = boxes.xyxy.cpu().numpy().clip(0, (width, height, width, height))
    assert mine == pytest.approx(on_image, abs=PIXELS)
    assert [item.confidence for item in found] == pytest.approx(boxes.conf.tolist(), abs=CONFIDENCE)
    assert [item.label_id for item in found] == boxes.cls.int().tolist()
    assert [item.label for item in found] == [NAMES[item.label_id] for item in found]
    assert [item.confidence for item in found] == sorted((item.confidence for item in found), reverse=True)


@pytest.mark.parametrize("model_name", DETECTORS)
def test_boxes(model_name: str, tmp_path: Path) -> None:
    predictor, model = loaded(tmp_path, model_name)
    for size in SIZES:
        image = picture(*size, seed=7)
        check(ours(predictor, image), theirs(DetectionPredictor, model, image).boxes, image)


def test_boxes_of_a_transformer(tmp_path: Path) -> None:
    predictor, model = loaded(tmp_path, "rtdetr-resnet50")
    image = picture(150, 97, seed=7)
    check(ours(predictor, image), theirs(RTDETRPredictor, model, image).boxes, image)
    # Which queries it keeps hangs on the last digits: another runtime would keep others.
    assert predictor.export("onnxruntime") is None


@pytest.mark.parametrize("labels", [("dog",), ("cat", "bird")])
@pytest.mark.parametrize("model_name", [TINY[DETECTION], "yolo26n"])
def test_boxes_of_some_classes(model_name: str, labels: tuple[str, ...], tmp_path: Path) -> None:
    predictor, model = loaded(tmp_path, model_name)
    image = picture(150, 97, seed=7)
    options = PredictOptions(0.3, iou_threshold=OPTIONS.iou_threshold, max_detections=9, labels=frozenset(labels))
    classes = [NAMES.index(label) for label in labels]
    found = ours(predictor, image, options)
    check(found, theirs(DetectionPredictor, model, image, conf=0.3, max_det=9, classes=classes).boxes, image)
    assert {item.label for item in found} == set(labels)


@pytest.mark.parametrize("model_name", [TINY[SEGMENTATION], "yolo26n-seg"])
def test_masks_as_polygons(model_name: str, tmp_path: Path) -> None:
    predictor, model = loaded(tmp_path, model_name)
    for size in SIZES[:2]:
        image = picture(*size, seed=7)
        found, result = ours(predictor, image), theirs(SegmentationPredictor, model, image)
        check(found, result.boxes, image)
        outlined = 0
        for item, outline in zip(found, result.masks.xy, strict=True):
            assert item.mask is None
            # They join what is not connected into one outline, and keep what lies beside the image.
            points = np.array([point for polygon in item.polygons for point in zip(*[iter(polygon)] * 2, strict=True)])
            outlined += len(points) > 3
            for point in points:
                # Of a line of pixels we give the outer edge, which is one pixel of the frame away.
                near = PIXELS if min(map(len, item.polygons)) > 8 else PIXELS + max(size) / SIZE
                assert np.abs(outline - point).max(axis=1).min() <= near
        assert outlined >= 3


@pytest.mark.parametrize("model_name", [TINY[SEGMENTATION], "yolo26n-seg"])
def test_masks_as_run_lengths(model_name: str, tmp_path: Path) -> None:
    predictor, model = loaded(tmp_path, model_name)
    image = picture(150, 97, seed=7)
    options = PredictOptions(0.5, iou_threshold=OPTIONS.iou_threshold, max_detections=20, run_length_masks=True)
    found = ours(predictor, image, options)
    result = theirs(SegmentationPredictor, model, image, retina_masks=True)
    check(found, result.boxes, image)
    for item, mask in zip(found, result.masks.data.cpu().numpy(), strict=True):
        assert item.mask is not None and not item.polygons
        # A pixel whose score is zero to the last digit falls on either side.
        assert (decode_mask(item.mask) != mask).sum() <= 2


@pytest.mark.parametrize("values", [2, 3])
@pytest.mark.parametrize("model_name", [TINY[POSE], "yolo26n-pose"])
def test_keypoints(model_name: str, values: int, tmp_path: Path) -> None:
    predictor, model = loaded(tmp_path, model_name, values=values)
    for size in SIZES[:2]:
        image = picture(*size, seed=7)
        found, result = ours(predictor, image), theirs(PosePredictor, model, image)
        check(found, result.boxes, image)
        for item, pose in zip(found, result.keypoints.data.tolist(), strict=True):
            assert len(item.keypoints) == 4
            for point, (x, y, *sure) in zip(item.keypoints, pose, strict=True):
                assert (point.x, point.y) == pytest.approx((x, y), abs=PIXELS)
                assert point.confidence == pytest.approx(sure[0] if sure else 1.0, abs=CONFIDENCE)


@pytest.mark.parametrize("model_name", [TINY[ORIENTED], "yolo26n-obb"])
def test_rotated_boxes(model_name: str, tmp_path: Path) -> None:
    predictor, model = loaded(tmp_path, model_name)
    for size in SIZES[:2]:
        image = picture(*size, seed=7)
        found, boxes = ours(predictor, image), theirs(OBBPredictor, model, image).obb
        check(found, boxes, image)
        for item, (*middle, width, height, angle), outline in zip(
            found, boxes.xywhr.tolist(), boxes.xyxyxyxy.tolist(), strict=True
        ):
            rotated = item.rotated_box
            assert rotated is not None
            assert (rotated.center_x, rotated.center_y) == pytest.approx(tuple(middle), abs=PIXELS)
            assert (rotated.width, rotated.height) == pytest.approx((width, height), abs=PIXELS)
            assert rotated.angle == pytest.approx(angle, abs=1e-4)
            corners = list(zip(rotated.corners[::2], rotated.corners[1::2], strict=True))
            assert np.array(sorted(corners)) == pytest.approx(np.array(sorted(map(tuple, outline))), abs=PIXELS)
            # Clockwise on the screen, where y goes down: the shoelace formula gives twice the area.
            following = corners[1:] + corners[:1]
            twice = sum(x * v - u * y for (x, y), (u, v) in zip(corners, following, strict=True))
            assert twice == pytest.approx(2 * width * height, rel=1e-3)
            # The first corner lies where an upright box has its upper left.
            turn = torch.tensor([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            first = turn @ torch.tensor([corners[0][0] - middle[0], corners[0][1] - middle[1]], dtype=torch.float64)
            assert first.tolist() == pytest.approx([-width / 2, -height / 2], abs=PIXELS)


def test_classes(tmp_path: Path) -> None:
    predictor, model = loaded(tmp_path, TINY[CLASSIFICATION])
    for size in SIZES:
        image = picture(*size, seed=7)
        [prediction] = predictor.predict_batch([predictor.prepare(image)], [PredictOptions(top_k=2)])
        probabilities = theirs(ClassificationPredictor, model, image).probs
        said = prediction.classifications
        assert [item.label_id for item in said] == probabilities.top5[:2]
        assert [item.confidence for item in said] == pytest.approx(probabilities.top5conf[:2].tolist(), abs=CONFIDENCE)
        assert [item.label for item in said] == [NAMES[item.label_id] for item in said]
