"""What a training reads, in memory: for objects their labels, for classification the samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.adapter import TrainingDataset
from trainer_yolo.checkpoint import Keypoints
from trainer_yolo.labels import read_labels
from trainer_yolo.names import CLASSIFICATION

# What ultralytics calls the class of all objects.
SINGLE_CLASS = "item"


@dataclass(frozen=True)
class TrainingData:
    """``train`` and ``val`` are labels, or samples for classification; ``oddities`` are sentences for the log."""

    root: Path
    class_names: tuple[str, ...]
    train: Sequence[Any]
    val: Sequence[Any]
    keypoints: Keypoints | None = None
    oddities: Sequence[str] = ()

    def as_ultralytics(self) -> dict[str, Any]:
        """The same as ultralytics describes a dataset."""
        described: dict[str, Any] = {
            "train": self.train,
            "val": self.val,
            "names": dict(enumerate(self.class_names)),
            "nc": len(self.class_names),
            "channels": 3,
        }
        if self.keypoints is not None:
            described["kpt_shape"] = [self.keypoints.points, self.keypoints.values]
            described["flip_idx"] = list(self.keypoints.flip_indices)
        return described


def read_data(dataset: TrainingDataset, task_type: str, *, single_class: bool) -> TrainingData:
    """Read what a task needs. Raises BadTrainingData when the dataset has it not."""
    if task_type == CLASSIFICATION:
        return TrainingData(dataset.root, dataset.class_names, dataset.split("train"), dataset.split("val"))
    labels = read_labels(dataset, task_type)
    names = (SINGLE_CLASS,) if single_class else dataset.class_names
    return TrainingData(dataset.root, names, labels.train, labels.val, labels.keypoints, labels.oddities)
