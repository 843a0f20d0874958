"""What a validation by ultralytics says, in the words of the mesh.

Detection, at the confidence with the best F1 and an IoU of 0.5: ``precision``, ``recall``, ``f1``; over all
confidences: ``mAP50``, ``mAP50-95``; each the mean over the classes that are in the split. Masks and keypoints (by
their OKS) are measured so where the task has them, and boxes as well, with ``box_`` before the name. ``val_loss`` is
the sum of the losses, each with its gain, and ``val_<name>`` is one of them.

Classification: ``accuracy``, ``top5_accuracy``, ``balanced_accuracy``; ``precision``, ``recall``, ``f1``, means over
the classes that are in the split or predicted; ``val_loss``, the mean cross-entropy in nats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from trainer.adapter import Sample

TOP_K = 5


@dataclass(frozen=True)
class Results:
    """``per_class``, ``confusion_matrix`` and ``images`` are as a reporter takes them, empty where a task has none."""

    metrics: Mapping[str, float]
    per_class: Sequence[Mapping[str, object]]
    confusion_matrix: Sequence[Sequence[int]] = ()
    images: Sequence[Mapping[str, object]] = field(default_factory=tuple)


def detection_results(validator: Any, class_names: Sequence[str], images: Sequence[Mapping[str, object]]) -> Results:
    """What a detection validator, of boxes or of more, has just found; ``images`` are as a reporter takes them."""
    measured = validator.metrics
    own = getattr(measured, "seg", None) or getattr(measured, "pose", None) or measured.box
    losses = {name: float(total) / len(validator.dataloader) for name, total in validator.loss.items()}
    metrics = {**_means(own), "val_loss": sum(losses.values())}
    metrics |= {f"val_{name}": loss for name, loss in losses.items()}
    if own is not measured.box:
        metrics |= {f"box_{name}": value for name, value in _means(measured.box).items()}
    # ultralytics counts by [predicted class][true class], background last.
    matrix = [[int(count) for count in row] for row in validator.confusion_matrix.matrix.T]
    return Results(metrics, _per_class(own, measured.nt_per_class, class_names), matrix, images)


def classification_results(
    logits: torch.Tensor, labels: torch.Tensor, samples: Sequence[Sample], class_names: Sequence[str]
) -> Results:
    """``logits``: float32 (N, C), ``labels``: int64 (N,), in the order of ``samples``."""
    count = len(class_names)
    probabilities = logits.softmax(dim=1)
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    # Stable: of equally likely classes the first.
    ranked = probabilities.sort(dim=1, descending=True, stable=True).indices[:, :TOP_K]
    predicted = ranked[:, 0]
    matrix = torch.bincount(labels * count + predicted, minlength=count * count).reshape(count, count).double()
    hits, support, claimed = matrix.diagonal(), matrix.sum(dim=1), matrix.sum(dim=0)
    precision, recall = hits / claimed.clamp(min=1), hits / support.clamp(min=1)
    f1 = 2 * hits / (support + claimed).clamp(min=1)
    seen = (support + claimed) > 0
    metrics = {
        "accuracy": float(hits.sum() / matrix.sum()),
        "top5_accuracy": float((ranked == labels[:, None]).any(dim=1).double().mean()),
        "balanced_accuracy": float(recall[support > 0].mean()),
        "precision": float(precision[seen].mean()),
        "recall": float(recall[seen].mean()),
        "f1": float(f1[seen].mean()),
        "val_loss": float(losses.double().mean()),
    }
    per_class = [
        _class_score(index, name, float(precision[index]), float(recall[index]), float(f1[index]), int(support[index]))
        for index, name in enumerate(class_names)
    ]
    confidences = probabilities.gather(1, ranked)
    images = [
        {
            "path": sample.path,
            "label_id": sample.label_id,
            "predictions": list(zip(classes, likelihoods, strict=True)),
            "loss": loss,
        }
        for sample, classes, likelihoods, loss in zip(
            samples, ranked.tolist(), confidences.tolist(), losses.tolist(), strict=True
        )
    ]
    return Results(metrics, per_class, [[int(value) for value in row] for row in matrix.tolist()], images)


def _means(measured: Any) -> dict[str, float]:
    precision, recall, half, whole = (float(value) for value in measured.mean_results())
    f1 = float(np.mean(measured.f1)) if len(measured.f1) else 0.0
    return {"precision": precision, "recall": recall, "f1": f1, "mAP50": half, "mAP50-95": whole}


def _per_class(measured: Any, support: Any, class_names: Sequence[str]) -> list[Mapping[str, object]]:
    places = {int(label): place for place, label in enumerate(measured.ap_class_index)}
    scores: list[Mapping[str, object]] = []
    for index, name in enumerate(class_names):
        place = places.get(index)
        if place is None:
            scores.append(
                {**_class_score(index, name, 0.0, 0.0, 0.0, int(support[index])), "ap50": 0.0, "ap50_95": 0.0}
            )
            continue
        precision, recall, half, whole = (float(value) for value in measured.class_result(place))
        score = _class_score(index, name, precision, recall, float(measured.f1[place]), int(support[index]))
        scores.append({**score, "ap50": half, "ap50_95": whole})
    return scores


def _class_score(index: int, name: str, precision: float, recall: float, f1: float, support: int) -> dict[str, object]:
    return {
        "label": name,
        "label_id": index,
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "support": support,
    }
