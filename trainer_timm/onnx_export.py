"""A classifier in ONNX, computed by ONNX Runtime: faster than torch on a CPU, and checked to say the same."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import onnxruntime
import torch

from trainer.adapter import ExportFailed
from trainer_timm.adapter import library_versions
from trainer_timm.prediction import Classifier

if TYPE_CHECKING:
    from trainer_timm.prediction import TimmPredictor

MODEL_FILE = "model.onnx"
RUNTIME = "onnxruntime"

# Largest difference of any raw score from torch's.
TOLERANCE = 1e-4

# Batches that the two runtimes are compared on: a batch axis that was frozen at export shows.
_CHECKED_BATCHES = (1, 3)

# Has scaled dot product attention and everything else that timm's models use, and has been supported for years.
_OPSET = 17

# Changes when files written before must not be used any more.
_FORMAT = "onnx 1"


class OnnxExport:
    """The export of one classifier. ``key`` changes with the libraries that write the file."""

    def __init__(self, predictor: TimmPredictor, threads: int) -> None:
        self._predictor = predictor
        self._threads = threads
        versions = library_versions("timm", "torch", "onnxruntime")
        self.key = " ".join([_FORMAT, *(f"{name}={version}" for name, version in sorted(versions.items()))])

    def write(self, folder: Path) -> None:
        """Write ``model.onnx``: images (N, 3, S, S) → logits (N, classes), any N. Raises ExportFailed."""
        path = folder / MODEL_FILE
        try:
            self._export(path)
            onnx.checker.check_model(str(path))
        except Exception as error:  # an exporter meets every kind of model, and raises nearly anything
            raise ExportFailed(f"torch cannot export it: {_first_line(error)}") from error
        self._check(self.load(folder))

    def load(self, folder: Path) -> Classifier:
        """Open a session on the file, with as many threads as torch has. Raises ExportFailed."""
        path = folder / MODEL_FILE
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # Threads that spin while they wait take the processors from those that prepare images, and from trainings.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no base of their own
            raise ExportFailed(f"ONNX Runtime cannot load it: {_first_line(error)}") from error

        def compute(images: torch.Tensor) -> torch.Tensor:
            [logits] = session.run(None, {"images": images.numpy()})
            return torch.from_numpy(logits)

        # The session's weights are those of the file, which holds little else.
        return Classifier(self._predictor.description, compute, runtime=RUNTIME, memory_bytes=path.stat().st_size)

    def _export(self, path: Path) -> None:
        # A copy, since the original predicts meanwhile, and tracing changes what it traces.
        model = copy.deepcopy(self._predictor.model).cpu()
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # of tracing, about what the check below would show
            # By tracing, which takes about a second; torch's newer exporter takes ten times as long.
            torch.onnx.export(
                model,
                (self._images(2),),
                str(path),
                dynamo=False,
                opset_version=_OPSET,
                input_names=["images"],
                output_names=["logits"],
                dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}},
            )

    def _check(self, exported: Classifier) -> None:
        for size in _CHECKED_BATCHES:
            images = list(self._images(size))
            try:
                scores = exported.logits(images)
            except Exception as error:  # see load
                raise ExportFailed(f"ONNX Runtime cannot run it: {_first_line(error)}") from error
            difference = float((scores - self._predictor.logits(images)).abs().max())
            # False for NaN as well.
            if not difference <= TOLERANCE:
                raise ExportFailed(f"its scores differ from torch's by {difference:.2g}; {TOLERANCE:g} is allowed")

    def _images(self, count: int) -> torch.Tensor:
        """Random images as normalised ones look, always the same: float32, (count, 3, S, S)."""
        side = self._predictor.description.preprocessing.image_size
        return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(count))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
