"""What a training makes small."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from timm.data.mixup import mixup_target
from timm.loss.binary_cross_entropy import BinaryCrossEntropy
from timm.loss.class_weights import compute_class_weights
from torchvision.ops import sigmoid_focal_loss

from trainer.adapter import ConfigValue, Sample
from trainer.config_values import number, text


def create_loss(config: Mapping[str, ConfigValue], samples: Sequence[Sample], num_classes: int) -> torch.nn.Module:
    """Create the loss of ``loss.*``: logits (N, C) and label ids (N,) or shares of classes (N, C) → mean over images.

    Labels that come as shares are already smoothed. ``samples`` are those to train on, for the weights of classes.
    """
    smoothing = number(config, "regularization.label_smoothing")
    weight = class_weights(samples, num_classes) if text(config, "loss.class_weights") == "balanced" else None
    match text(config, "loss.type"):
        case "bce":
            threshold = number(config, "loss.bce_threshold")
            return BinaryCrossEntropy(smoothing, target_threshold=threshold if threshold > 0 else None, weight=weight)
        case "focal":
            return FocalLoss(number(config, "loss.focal_gamma"), smoothing, weight)
        case _:
            return _CrossEntropy(smoothing, weight)


def class_weights(samples: Sequence[Sample], num_classes: int) -> torch.Tensor:
    """Return a weight for each class, inverse to its images, 1 on average; float32, (num_classes,)."""
    counts = torch.bincount(torch.tensor([sample.label_id for sample in samples]), minlength=num_classes)
    return compute_class_weights(counts, len(samples), method="inv_freq")[1]


class _CrossEntropy(torch.nn.Module):
    """Cross-entropy that smooths label ids only: shares of classes come smoothed."""

    weight: torch.Tensor | None

    def __init__(self, smoothing: float, weight: torch.Tensor | None) -> None:
        super().__init__()
        self._smoothing = smoothing
        self.register_buffer("weight", weight)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        smoothing = self._smoothing if targets.dim() == 1 else 0.0
        return torch.nn.functional.cross_entropy(logits, targets, self.weight, label_smoothing=smoothing)


class FocalLoss(torch.nn.Module):
    """Focal loss of each class for itself, summed over classes (Lin et al., 2017, without its alpha)."""

    weight: torch.Tensor | None

    def __init__(self, gamma: float, smoothing: float, weight: torch.Tensor | None) -> None:
        super().__init__()
        self._gamma = gamma
        self._smoothing = smoothing
        self.register_buffer("weight", weight)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if targets.dim() == 1:
            targets = mixup_target(targets, logits.shape[1], smoothing=self._smoothing)  # type: ignore[no-untyped-call]
        losses: torch.Tensor = sigmoid_focal_loss(logits, targets, alpha=-1, gamma=self._gamma)
        if self.weight is not None:
            losses = losses * self.weight
        return losses.sum(dim=1).mean()
