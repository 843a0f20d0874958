"""A classifier in ONNX, computed by ONNX Runtime: faster than torch on a CPU, and checked to say the same."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from trainer.adapter import ExportFailed
from trainer_timm.adapter import library_versions
from trainer_timm.prediction import Classifier
from trainer_torch.onnx_files import (
    IMAGES,
    MODEL_FILE,
    RUNTIME,
    OnnxModel,
    export_key,
    first_line,
    write_model,
)
from trainer_torch.threads import compute_on

if TYPE_CHECKING:
    from trainer_timm.prediction import TimmPredictor

# Largest difference of any raw score from torch's.
TOLERANCE = 1e-4

# Batches that the two runtimes are compared on: a batch axis that was frozen at export shows.
_CHECKED_BATCHES = (1, 3)

# Changes when files written before must not be used any more.
_FORMAT = "onnx 1"


class OnnxExport:
    """The export of one classifier. ``key`` changes with the libraries that write the file."""

    def __init__(self, predictor: TimmPredictor, threads: int) -> None:
        self._predictor = predictor
        self._threads = threads
        self.key = export_key(_FORMAT, library_versions("timm", "torch", "onnxruntime"))

    def write(self, folder: Path) -> None:
        """Write ``model.onnx``: images (N, 3, S, S) → logits (N, classes), any N. Raises ExportFailed."""
        compute_on(1)
        # A copy, since the original predicts meanwhile, and tracing changes what it traces.
        model = copy.deepcopy(self._predictor.model).cpu()
        axes = {IMAGES: {0: "batch"}, "logits": {0: "batch"}}
        write_model(folder / MODEL_FILE, model, self._images(2), axes)
        self._check(self.load(folder))

    def load(self, folder: Path) -> Classifier:
        """Open a session on the file, with as many threads as torch has. Raises ExportFailed."""
        model = OnnxModel(folder / MODEL_FILE, self._threads)

        def compute(images: torch.Tensor) -> torch.Tensor:
            [logits] = model(images)
            return logits

        return Classifier(self._predictor.description, compute, runtime=RUNTIME, memory_bytes=model.memory_bytes)

    def _check(self, exported: Classifier) -> None:
        for size in _CHECKED_BATCHES:
            images = list(self._images(size))
            try:
                scores = exported.logits(images)
            except Exception as error:  # see load
                raise ExportFailed(f"ONNX Runtime cannot run it: {first_line(error)}") from error
            difference = float((scores - self._predictor.scores(torch.stack(images))).abs().max())
            # False for NaN as well.
            if not difference <= TOLERANCE:
                raise ExportFailed(f"its scores differ from torch's by {difference:.2g}; {TOLERANCE:g} is allowed")

    def _images(self, count: int) -> torch.Tensor:
        """Random images as normalised ones look, always the same: float32, (count, 3, S, S)."""
        side = self._predictor.description.preprocessing.image_size
        return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(count))
