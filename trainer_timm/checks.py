"""What must hold before a training is worth starting."""

from __future__ import annotations

from trainer.adapter import BadTrainingData, TrainingDataset, TrainingSpec
from trainer_timm.evaluation import metric_names


def check_dataset(dataset: TrainingDataset, spec: TrainingSpec) -> None:
    """Raise BadTrainingData when there is too little to learn from or to choose the best epoch by."""
    classes = len(dataset.class_names)
    if classes < 2:
        raise BadTrainingData(f"Classification needs at least two classes; the dataset has {classes}.")
    for sample in dataset.samples:
        if not 0 <= sample.label_id < classes:
            raise BadTrainingData(f"{sample.path} has label id {sample.label_id}, but there are {classes} classes.")
    train = dataset.split("train")
    if len(train) < 2:
        raise BadTrainingData(f"The train split needs at least two images; it has {len(train)}.")
    if len({sample.label_id for sample in train}) < 2:
        only = dataset.class_names[train[0].label_id]
        raise BadTrainingData(f"Every image of the train split is of class {only}: there is nothing to tell apart.")
    if not dataset.split("val"):
        raise BadTrainingData("The val split has no images; every epoch is validated.")
    names = metric_names() | {"loss"}
    if spec.primary_metric not in names:
        raise BadTrainingData(f"The primary metric {spec.primary_metric} is not measured; one of {sorted(names)} is.")
