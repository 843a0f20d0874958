"""A model in ONNX, computed by ONNX Runtime: faster than torch on a CPU, and checked to say the same."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from trainer.adapter import ExportFailed
from trainer_torch.onnx_files import IMAGES, MODEL_FILE, RUNTIME, OnnxModel, export_key, first_line, write_model
from trainer_torch.threads import compute_on
from trainer_yolo.adapter import YoloAdapter
from trainer_yolo.models import largest_stride
from trainer_yolo.names import CLASSIFICATION, SEGMENTATION
from trainer_yolo.prediction import YoloPredictor, outputs, scaled

if TYPE_CHECKING:
    from trainer_yolo.prediction import TorchPredictor

# Largest difference from torch's numbers, as part of the largest of them where that is above 1: confidences are not,
# pixels of a frame are.
TOLERANCE = 1e-4

# Changes when files written before must not be used any more.
_FORMAT = "onnx 1"

_BATCH, _PLACES = {0: "batch"}, {2: "height", 3: "width"}


class OnnxExport:
    """The export of one model, without what chooses among its predictions."""

    def __init__(self, predictor: TorchPredictor, threads: int) -> None:
        self._predictor = predictor
        self._threads = threads
        self.key = export_key(_FORMAT, {**YoloAdapter().versions(), "onnxruntime": metadata.version("onnxruntime")})

    def write(self, folder: Path) -> None:
        """Write ``model.onnx``: images (N, 3, H, W) in [0, 1] → what ``Compute`` returns. Raises ExportFailed."""
        compute_on(1)
        # A copy, since the original predicts meanwhile, and tracing changes what it traces. On the CPU, since a GPU
        # computes less exactly than what is compared here.
        model = copy.deepcopy(self._predictor.model).cpu()
        with torch.inference_mode():
            expected = [outputs(model(scaled(images)), self._predictor.task_type) for images in self._images()]
        head: Any = model.model[-1]  # type: ignore[index]
        head.export = True
        # Images of different shapes have frames of different shapes.
        head.dynamic = True
        if self._is_classifier:
            axes = {IMAGES: _BATCH, "probabilities": _BATCH}
        else:
            axes = {IMAGES: _BATCH | _PLACES, "predictions": _BATCH | {2 if self._channels_first else 1: "boxes"}}
        if self._predictor.task_type == SEGMENTATION:
            axes["prototypes"] = _BATCH | _PLACES
        write_model(folder / MODEL_FILE, model, scaled(next(self._images())), axes)
        self._check(self.load(folder), expected)

    def load(self, folder: Path) -> YoloPredictor:
        """Open a session on the file, with as many threads as torch has. Raises ExportFailed."""
        model = OnnxModel(folder / MODEL_FILE, self._threads)

        def compute(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(model(scaled(images)))

        return YoloPredictor(self._predictor.served, compute, runtime=RUNTIME, memory_bytes=model.memory_bytes)

    @property
    def _is_classifier(self) -> bool:
        return self._predictor.task_type == CLASSIFICATION

    @property
    def _channels_first(self) -> bool:
        """Whether predictions are (N, channels, …), as all are but those of heads that choose by themselves."""
        return self._is_classifier or not self._predictor.model.model[-1].end2end  # type: ignore[index, union-attr]

    def _check(self, exported: YoloPredictor, expected: Sequence[tuple[torch.Tensor, ...]]) -> None:
        for images, torchs_said in zip(self._images(), expected, strict=True):
            try:
                said = exported.compute(images)
            except Exception as error:  # see OnnxModel
                raise ExportFailed(f"ONNX Runtime cannot run it: {first_line(error)}") from error
            for place, (mine, torchs) in enumerate(zip(said, torchs_said, strict=True)):
                _compare(mine, torchs, channels=1 if place or self._channels_first else 2)

    def _images(self) -> Iterator[torch.Tensor]:
        """Batches that the runtimes are compared on, always the same: axes that were frozen at export show.

        They are coarse noise, which excites a model as pictures do.
        """
        side = self._predictor.served.description.image_size
        shapes = [(2, side, side), (1, side, side)]
        if not self._is_classifier:
            shapes.append((3, largest_stride(self._predictor.model), side))
        for count, height, width in shapes:
            generator = torch.Generator().manual_seed(count)
            noise = torch.rand(count, 3, 8, 8, generator=generator) * 255
            yield torch.nn.functional.interpolate(noise, (height, width), mode="bilinear").byte()


def _compare(mine: torch.Tensor, torchs: torch.Tensor, *, channels: int) -> None:
    """Raise ExportFailed when numbers differ; ``channels`` is the axis of those that mean different things."""
    if mine.shape != torchs.shape:
        raise ExportFailed(f"it says {tuple(mine.shape)} numbers where torch says {tuple(torchs.shape)}")
    differences = (mine - torchs).abs().transpose(0, channels).flatten(1).amax(1)
    allowed = TOLERANCE * torchs.abs().transpose(0, channels).flatten(1).amax(1).clamp(min=1.0)
    # False for NaN as well.
    if not bool((differences <= allowed).all()):
        worst = float((differences / allowed).max()) * TOLERANCE
        raise ExportFailed(f"its numbers differ from torch's by {worst:.2g}; {TOLERANCE:g} of the largest is allowed")
