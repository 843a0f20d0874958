"""What torch and ONNX Runtime say of the same checkpoint, and what happens when they do not agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer_yolo.checkpoints import picture, write_checkpoint
from tests.trainer_yolo.helpers import TINY
from trainer.adapter import ExportFailed, Prediction, PredictOptions
from trainer_yolo.names import CLASSIFICATION, DETECTION, SEGMENTATION
from trainer_yolo.onnx_export import OnnxExport
from trainer_yolo.prediction import TorchPredictor

# Every task, and a model of each whose head chooses by itself.
MODELS = [*TINY.values(), "yolo26n", "yolo26n-seg", "yolo26n-pose", "yolo26n-obb", "yolov10n"]


@pytest.fixture(autouse=True)
def without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU torch rounds more than the runtimes differ."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def numbers(prediction: Prediction) -> list[float]:
    """All that is said of an image."""
    said = [item.confidence for item in prediction.classifications]
    for item in prediction.detections:
        box, rotated = item.box, item.rotated_box
        said += [item.confidence, item.label_id, box.x_min, box.y_min, box.x_max, box.y_max]
        said += [value for point in item.keypoints for value in (point.x, point.y, point.confidence)]
        said += [] if rotated is None else [*rotated.corners, rotated.angle]
    return said


@pytest.mark.parametrize("model_name", MODELS)
def test_onnx_runtime_says_what_torch_says(model_name: str, tmp_path: Path) -> None:
    predictor = TorchPredictor(write_checkpoint(tmp_path, model_name), 1)
    export = predictor.export("onnxruntime")
    assert export is not None
    folder = tmp_path / "export"
    folder.mkdir()
    export.write(folder)
    exported = export.load(folder)

    assert (predictor.runtime, exported.runtime) == ("torch", "onnxruntime")
    assert (exported.task_type, exported.model_name) == (predictor.task_type, model_name)
    assert exported.class_names == predictor.class_names
    assert exported.export("onnxruntime") is None
    assert 0 < exported.memory_bytes < 1.5 * predictor.memory_bytes
    # Two frames of one shape and one of another.
    frames = [exported.prepare(picture(*size, seed=9)) for size in ((150, 97), (40, 200), (97, 150))]
    options = [PredictOptions(confidence_threshold=0.3, iou_threshold=0.4, max_detections=10)] * 3
    for mine, torchs in zip(
        exported.predict_batch(frames, options), predictor.predict_batch(frames, options), strict=True
    ):
        assert mine.detections or mine.classifications
        assert numbers(mine) == pytest.approx(numbers(torchs), abs=0.05, rel=1e-3)


def test_an_export_that_says_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = TorchPredictor(write_checkpoint(tmp_path, TINY[DETECTION]), 1)
    real = torch.onnx.export

    def of_another_model(model: torch.nn.Module, *arguments: Any, **named: Any) -> Any:
        with torch.no_grad():
            model.model[-1].cv3[0][-1].bias.add_(0.01)  # type: ignore[index, union-attr]
        return real(model, *arguments, **named)

    monkeypatch.setattr(torch.onnx, "export", of_another_model)
    with pytest.raises(ExportFailed, match="differ from torch's"):
        OnnxExport(predictor, 1).write(tmp_path)


def test_an_export_that_froze_the_shape_of_its_frame_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = TorchPredictor(write_checkpoint(tmp_path, TINY[SEGMENTATION]), 1)
    real = torch.onnx.export

    def of_one_shape(*arguments: Any, **named: Any) -> Any:
        return real(*arguments, **{**named, "dynamic_axes": {"images": {0: "batch"}}})

    monkeypatch.setattr(torch.onnx, "export", of_one_shape)
    with pytest.raises(ExportFailed, match="cannot run it"):
        OnnxExport(predictor, 1).write(tmp_path)


def test_a_gpu_keeps_torch_unless_told_otherwise(tmp_path: Path) -> None:
    predictor = TorchPredictor(write_checkpoint(tmp_path, TINY[CLASSIFICATION]), 1)
    assert predictor.export("auto") is not None
    predictor.device = torch.device("cuda")
    assert predictor.export("auto") is None
    assert predictor.export("onnxruntime") is not None
