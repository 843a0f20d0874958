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
    MulticlassCalibrationError,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)

from trainer.adapter import Sample, TrainingDiverged
from trainer_timm.loading import Batch, read_batches
from trainer_timm.names import PRIMARY_METRICS

TOP_K = 5
# The usual choice since Guo et al., "On Calibration of Modern Neural Networks" (2017).
CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Predictions:
    """What the model says of each image of a split, in the order of its samples, on the CPU.

    ``labels``: int64 (N,), the true ids. ``classes``: int64 (N, K), the K most likely ids, most likely first, of equals
    the smaller one; K is five, or the classes when there are fewer. ``confidences``: float32 (N, K), in [0, 1].
    ``losses``: float32 (N,), cross-entropy in nats.
    """

    labels: torch.Tensor
    classes: torch.Tensor
    confidences: torch.Tensor
    losses: torch.Tensor

    def rows(self, samples: Sequence[Sample]) -> list[dict[str, object]]:
        """One mapping per image, as a reporter takes them. Raises ValueError when ``samples`` are others."""
        labels = self.labels.tolist()
        if [sample.label_id for sample in samples] != labels:
            raise ValueError("the samples are not those that were evaluated")
        return [
            {
                "path": sample.path,
                "label_id": label,
                "predictions": list(zip(classes, confidences, strict=True)),
                "loss": loss,
            }
            for sample, label, classes, confidences, loss in zip(
                samples, labels, self.classes.tolist(), self.confidences.tolist(), self.losses.tolist(), strict=True
            )
        ]


@dataclass(frozen=True)
class Evaluation:
    """What a split says of a model.

    ``metrics`` holds what ``metric_names`` says, all in [0, 1] but the loss. ``confusion_matrix`` counts images by
    [true class][predicted class].
    """

    metrics: dict[str, float]
    per_class: list[dict[str, object]]
    confusion_matrix: list[list[int]]
    predictions: Predictions


def metric_names() -> set[str]:
    """Return the names that ``Evaluation.metrics`` holds, however many classes there are.

    - ``val_loss``: plain cross-entropy in nats, averaged over images.
    - ``accuracy``, ``top5_accuracy``: share of images whose class is the most likely, or among the five most likely (of
      all classes when there are fewer).
    - ``precision``, ``recall``, ``f1``: means over the classes that are in the split or predicted.
    - ``balanced_accuracy``: mean recall of the classes in the split.
    - ``calibration_error``: expected calibration error (l1) of the confidence in the most likely class.
    """
    return set(PRIMARY_METRICS)


def evaluate(
    model: torch.nn.Module,
    batches: DataLoader[Batch],
    class_names: Sequence[str],
    device: torch.device,
    should_stop: Callable[[], bool],
) -> Evaluation | None:
    """Measure the model on all batches; return None when asked to stop, which is asked once per batch.

    Everything is computed in float32 from the logits of every image: no figure is a mean of batches' means. Raises
    TrainingDiverged when the loss is not finite.
    """
    meters = _meters(len(class_names)).to(device)
    calibration = MulticlassCalibrationError(len(class_names), n_bins=CALIBRATION_BINS, norm="l1").to(device)
    parts: list[Predictions] = []
    model.eval()
    with torch.inference_mode():
        for images, labels in read_batches(batches):
            if should_stop():
                return None
            labels = labels.to(device, non_blocking=True)
            logits = model(images.to(device, non_blocking=True)).float()
            meters.update(logits, labels)
            # Given logits that happen to lie in [0, 1], torchmetrics would take them for probabilities.
            probabilities = logits.softmax(dim=1)
            calibration.update(probabilities, labels)
            parts.append(_predictions(logits, probabilities, labels))
    predictions = Predictions(
        labels=torch.cat([part.labels for part in parts]),
        classes=torch.cat([part.classes for part in parts]),
        confidences=torch.cat([part.confidences for part in parts]),
        losses=torch.cat([part.losses for part in parts]),
    )
    loss = float(predictions.losses.double().mean())
    if not math.isfinite(loss):
        raise TrainingDiverged(f"The validation loss became {loss}; a lower learning rate may help.")
    values = {**meters.compute(), "calibration_error": calibration.compute()}
    return _summarise(loss, values, class_names, predictions)


def _predictions(logits: torch.Tensor, probabilities: torch.Tensor, labels: torch.Tensor) -> Predictions:
    # Stable: of equally likely classes the first, as argmax, by which accuracy and confusion matrix are counted.
    classes = logits.sort(dim=1, descending=True, stable=True).indices[:, :TOP_K]
    return Predictions(
        labels=labels.cpu(),
        classes=classes.cpu(),
        confidences=probabilities.gather(1, classes).clamp(0, 1).cpu(),
        losses=torch.nn.functional.cross_entropy(logits, labels, reduction="none").cpu(),
    )


def _meters(num_classes: int) -> MetricCollection:
    return MetricCollection(
        {
            "accuracy": MulticlassAccuracy(num_classes, average="micro"),
            "top5_accuracy": MulticlassAccuracy(num_classes, top_k=min(TOP_K, num_classes), average="micro"),
            "precision": MulticlassPrecision(num_classes, average="macro"),
            "recall": MulticlassRecall(num_classes, average="macro"),
            "f1": MulticlassF1Score(num_classes, average="macro"),
            "class_precision": MulticlassPrecision(num_classes, average="none"),
            "class_recall": MulticlassRecall(num_classes, average="none"),
            "class_f1": MulticlassF1Score(num_classes, average="none"),
            "confusion": MulticlassConfusionMatrix(num_classes),
        },
        compute_groups=False,
    )


def _summarise(
    loss: float, values: dict[str, torch.Tensor], class_names: Sequence[str], predictions: Predictions
) -> Evaluation:
    confusion: list[list[int]] = values["confusion"].tolist()
    support = [sum(row) for row in confusion]
    recalls: list[float] = values["class_recall"].tolist()
    per_class: list[dict[str, object]] = [
        {
            "label": label,
            "label_id": index,
            "precision": float(values["class_precision"][index]),
            "recall": recalls[index],
            "f1": float(values["class_f1"][index]),
            "support": support[index],
        }
        for index, label in enumerate(class_names)
    ]
    present = [recall for recall, images in zip(recalls, support, strict=True) if images]
    measured = {name: float(values[name]) for name in sorted(metric_names()) if name in values}
    metrics = {"val_loss": loss, **measured, "balanced_accuracy": sum(present) / len(present)}
    return Evaluation(metrics, per_class, confusion, predictions)
