"""What must hold before a training is worth starting."""

from __future__ import annotations

from trainer.adapter import BadTrainingData, TrainingSpec
from trainer_yolo.counts import measures_of
from trainer_yolo.data import TrainingData
from trainer_yolo.definitions import definitions
from trainer_yolo.names import CLASSIFICATION, LARGEST_LEARNING_RATE, PRIMARY_METRICS
from trainer_yolo.sizes import image_size_problem


def check_model(spec: TrainingSpec) -> None:
    """Raise BadTrainingData when the model cannot do the task with the job's numbers."""
    definition = definitions().get(spec.model_name)
    if definition is None:
        raise BadTrainingData(f"ultralytics has no model named {spec.model_name}.")
    if definition.task_type != spec.task_type:
        raise BadTrainingData(f"{spec.model_name} is for {definition.task_type}, not for {spec.task_type}.")
    problem = image_size_problem(spec.model_name, spec.image_size)
    if problem is not None:
        raise BadTrainingData(f"image_size: {problem}")
    if spec.learning_rate > LARGEST_LEARNING_RATE:
        raise BadTrainingData(
            f"ultralytics takes learning rates of at most {LARGEST_LEARNING_RATE:g}, not {spec.learning_rate:g}."
        )
    names = {*PRIMARY_METRICS[spec.task_type], "loss"}
    if spec.primary_metric not in names:
        raise BadTrainingData(f"The primary metric {spec.primary_metric} is not measured; one of {sorted(names)} is.")


def check_data(data: TrainingData, spec: TrainingSpec) -> None:
    """Raise BadTrainingData when there is too little to learn from or to choose the best epoch by."""
    if not data.train:
        raise BadTrainingData("The train split has no images.")
    if not data.val:
        raise BadTrainingData("The val split has no images; every epoch is validated.")
    if spec.task_type == CLASSIFICATION:
        _check_classes(data)
    _check_last_batch(len(data.train), spec)


def _check_last_batch(images: int, spec: TrainingSpec) -> None:
    """Batch normalisation has no statistics for a single value."""
    batch_size = min(spec.batch_size, images)
    stride = measures_of(spec.model_name).stride
    change = spec.config.get("augmentation.multi_scale", 0.0)
    smallest = int(spec.image_size * (1 - change)) if isinstance(change, float) else spec.image_size
    if images % batch_size == 1 % batch_size and smallest < 2 * stride:
        raise BadTrainingData(
            f"The last batch of {images} images in batches of {batch_size} is a single image, which cannot be learned "
            f"from at {max(smallest, stride)} pixels: use another batch_size, or an image_size that is never below "
            f"{2 * stride}."
        )


def _check_classes(data: TrainingData) -> None:
    classes = len(data.class_names)
    if classes < 2:
        raise BadTrainingData(f"Classification needs at least two classes; the dataset has {classes}.")
    for sample in (*data.train, *data.val):
        if not 0 <= sample.label_id < classes:
            raise BadTrainingData(f"{sample.path} has label id {sample.label_id}, but there are {classes} classes.")
    if len({sample.label_id for sample in data.train}) < 2:
        only = data.class_names[data.train[0].label_id]
        raise BadTrainingData(f"Every image of the train split is of class {only}: there is nothing to tell apart.")
