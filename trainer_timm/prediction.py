"""Classifying images with a checkpoint."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from trainer.adapter import Classification, Prediction, PredictOptions
from trainer_timm.checkpoint import load_model
from trainer_timm.devices import best_device
from trainer_timm.images import upright_rgb
from trainer_timm.models import build_model
from trainer_timm.names import CLASSIFICATION
from trainer_timm.transforms import evaluation_transform


class TimmPredictor:
    """A checkpoint in memory; ``memory_bytes`` counts its parameters and buffers.

    Raises FileNotFoundError when the folder holds no weights, and SafetensorError when they are not of this trainer.
    """

    def __init__(self, checkpoint_folder: Path, threads: int) -> None:
        torch.set_num_threads(max(1, threads))
        description, weights = load_model(checkpoint_folder)
        self.task_type = CLASSIFICATION
        self.model_name = description.model_name
        self.class_names = description.class_names
        self._device = best_device()
        model = build_model(self.model_name, len(self.class_names), description.preprocessing.image_size)
        model.load_state_dict(weights)
        self._model = model.eval().to(self._device)
        self._transform = evaluation_transform(description.preprocessing)
        tensors = [*model.parameters(), *model.buffers()]
        self.memory_bytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def logits(self, image: Image.Image) -> torch.Tensor:
        """Return the raw scores of one image of any size and mode: float32, (number of classes,), on the CPU."""
        with torch.inference_mode():
            images = self._transform(upright_rgb(image)).unsqueeze(0).to(self._device)
            scores: torch.Tensor = self._model(images)[0].float().cpu()
        return scores

    def predict(self, image: Image.Image, options: PredictOptions) -> Prediction:
        """Return the ``top_k`` most probable classes that reach the threshold, most confident first."""
        probabilities = self.logits(image).softmax(dim=0)
        values, label_ids = probabilities.topk(max(0, min(options.top_k, len(self.class_names))))
        found = (
            Classification(self.class_names[label_id], label_id, confidence)
            for confidence, label_id in zip(values.tolist(), label_ids.tolist(), strict=True)
            if confidence >= options.confidence_threshold
        )
        return Prediction(classifications=tuple(found))
