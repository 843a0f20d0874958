"""Measuring a classifier on a split."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import DataLoader
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)

from trainer.adapter import TrainingDiverged
from trainer_timm.loading import Batch, read_batches

TOP_K = 5


@dataclass(frozen=True)
class Evaluation:
    """What a split says of a model.

    ``metrics`` holds val_loss, accuracy, precision, recall and f1 (macro averages over the classes in the split),
    and top5_accuracy with more than five classes, all in [0, 1] but the loss. ``confusion_matrix`` counts images by
    [true class][predicted class].
    """

    metrics: dict[str, float]
    per_class: list[dict[str, object]]
    confusion_matrix: list[list[int]]


def metric_names(num_classes: int) -> set[str]:
    """Return the names that ``Evaluation.metrics`` will hold."""
    names = {"val_loss", "accuracy", "precision", "recall", "f1"}
    return names | {"top5_accuracy"} if num_classes > TOP_K else names


def evaluate(
    model: torch.nn.Module,
    batches: DataLoader[Batch],
    class_names: Sequence[str],
    device: torch.device,
    should_stop: Callable[[], bool],
) -> Evaluation | None:
    """Measure the model on all batches; return None when asked to stop, which is asked once per batch.

    The loss is plain cross-entropy in nats, averaged over images. Raises TrainingDiverged when it is not finite.
    """
    meters = _meters(len(class_names)).to(device)
    model.eval()
    total_loss = torch.zeros((), dtype=torch.float64, device=device)
    count = 0
    with torch.inference_mode():
        for images, labels in read_batches(batches):
            if should_stop():
                return None
            labels = labels.to(device, non_blocking=True)
            logits = model(images.to(device, non_blocking=True)).float()
            total_loss += torch.nn.functional.cross_entropy(logits, labels, reduction="sum").double()
            count += len(labels)
            meters.update(logits, labels)
    loss = float(total_loss) / count
    if not math.isfinite(loss):
        raise TrainingDiverged(f"The validation loss became {loss}; a lower learning rate may help.")
    return _summarise(loss, meters.compute(), class_names)


def _meters(num_classes: int) -> MetricCollection:
    meters: dict[str, torch.nn.Module] = {
        "accuracy": MulticlassAccuracy(num_classes, average="micro"),
        "precision": MulticlassPrecision(num_classes, average="macro"),
        "recall": MulticlassRecall(num_classes, average="macro"),
        "f1": MulticlassF1Score(num_classes, average="macro"),
        "class_precision": MulticlassPrecision(num_classes, average="none"),
        "class_recall": MulticlassRecall(num_classes, average="none"),
        "class_f1": MulticlassF1Score(num_classes, average="none"),
        "confusion": MulticlassConfusionMatrix(num_classes),
    }
    if num_classes > TOP_K:
        meters["top5_accuracy"] = MulticlassAccuracy(num_classes, top_k=TOP_K, average="micro")
    return MetricCollection(meters, compute_groups=False)  # type: ignore[arg-type]


def _summarise(loss: float, values: dict[str, torch.Tensor], class_names: Sequence[str]) -> Evaluation:
    confusion: list[list[int]] = values["confusion"].tolist()
    per_class: list[dict[str, object]] = [
        {
            "label": label,
            "label_id": index,
            "precision": float(values["class_precision"][index]),
            "recall": float(values["class_recall"][index]),
            "f1": float(values["class_f1"][index]),
            "support": sum(confusion[index]),
        }
        for index, label in enumerate(class_names)
    ]
    metrics = {name: float(values[name]) for name in sorted(metric_names(len(class_names))) if name in values}
    return Evaluation({"val_loss": loss, **metrics}, per_class, confusion)
