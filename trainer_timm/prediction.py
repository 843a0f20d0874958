"""Classifying images with a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from PIL import Image

from annotations.pictures import upright_rgb
from trainer.adapter import Export, ExportFailed, Prediction, PredictOptions
from trainer_timm.checkpoint import ModelDescription, load_model
from trainer_timm.devices import best_device
from trainer_timm.models import build_model
from trainer_timm.names import CLASSIFICATION
from trainer_timm.transforms import evaluation_transform
from trainer_torch.classes import most_probable
from trainer_torch.threads import compute_on

# From images (float32, (N, 3, S, S), normalised, on the CPU) to raw scores (float32, (N, classes), on the CPU).
Compute = Callable[[torch.Tensor], torch.Tensor]

# No prediction asks for more images at once: the setting of the server decides.
_ANY_BATCH = 1 << 20


class Classifier:
    """What is the same whatever computes the scores: preprocessing before, probabilities after."""

    task_type = CLASSIFICATION
    batch_size = _ANY_BATCH

    def __init__(self, description: ModelDescription, compute: Compute, *, runtime: str, memory_bytes: int) -> None:
        self.description = description
        self.model_name = description.model_name
        self.class_names = description.class_names
        self.runtime = runtime
        self.memory_bytes = memory_bytes
        self._compute = compute
        self._transform = evaluation_transform(description.preprocessing)

    def prepare(self, image: Image.Image) -> torch.Tensor:
        """Return the image as validation sees it: float32, (3, S, S)."""
        compute_on(1)
        return self._transform(upright_rgb(image))

    def logits(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the raw scores of prepared images: float32, (N, number of classes), on the CPU."""
        return self._compute(torch.stack(list(inputs)))

    def predict_batch(self, inputs: Sequence[torch.Tensor], options: Sequence[PredictOptions]) -> list[Prediction]:
        """Return for each image the ``top_k`` most probable classes that reach the threshold, most confident first."""
        probabilities = self.logits(inputs).softmax(dim=1)
        return [
            most_probable(row, self.class_names, chosen) for row, chosen in zip(probabilities, options, strict=True)
        ]

    def export(self, runtime: str) -> Export | None:
        """None: only what torch computes can be exported."""
        return None


class TimmPredictor(Classifier):
    """A checkpoint computed by torch; ``memory_bytes`` counts its parameters and buffers.

    Raises FileNotFoundError when the folder holds no weights, and SafetensorError when they are not of this trainer.
    """

    def __init__(self, checkpoint_folder: Path, threads: int) -> None:
        self._threads = max(1, threads)
        compute_on(1)  # the thread that loads is not the one that predicts
        description, weights = load_model(checkpoint_folder)
        self._device = best_device()
        model = build_model(description.model_name, len(description.class_names), description.preprocessing.image_size)
        model.load_state_dict(weights)
        self.model = model.eval().to(self._device)
        tensors = [*model.parameters(), *model.buffers()]
        super().__init__(
            description,
            partial(_run, self.model, self._device, self._threads),  # a method of its own would keep it alive
            runtime="torch",
            memory_bytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors),
        )

    def export(self, runtime: str) -> Export | None:
        """Return the export to ONNX Runtime; with ``auto`` only where torch has no GPU.

        Raises ExportFailed when ONNX Runtime is not installed.
        """
        if runtime == "auto" and self._device.type != "cpu":
            return None
        try:
            from trainer_timm.onnx_export import OnnxExport
        except ImportError as error:
            raise ExportFailed(f"{error.name} is not installed") from error
        return OnnxExport(self, self._threads)

    def scores(self, images: torch.Tensor) -> torch.Tensor:
        """Return the raw scores of images (N, 3, S, S), on the CPU, by as many threads as the caller's thread has."""
        return _scores(self.model, self._device, images)


def _scores(model: torch.nn.Module, device: torch.device, images: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        scores: torch.Tensor = model(images.to(device)).float().cpu()
    return scores


def _run(model: torch.nn.Module, device: torch.device, threads: int, images: torch.Tensor) -> torch.Tensor:
    compute_on(threads)
    return _scores(model, device, images)
