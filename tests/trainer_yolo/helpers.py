"""What the tests of the YOLO trainer share: datasets on disk, specifications and a reporter that remembers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from annotations.document import write_document
from annotations.model import AnnotatedImage, AnnotatedObject, Box, Category, Keypoint, Visibility
from trainer.adapter import ConfigValue, Sample, TrainingDataset, TrainingSpec
from trainer_yolo.fields import FIELDS
from trainer_yolo.names import CLASSIFICATION, DETECTION, ORIENTED, POSE, SEGMENTATION

SIZE = 64
CLASS_NAMES = ("disc", "square")
COLOURS = ((220, 60, 40), (40, 90, 220))
# The smallest sizes of a family, and what tests make smaller still: see ``tiny``.
TINY = {
    DETECTION: "yolo11p",
    SEGMENTATION: "yolo11p-seg",
    POSE: "yolo11p-pose",
    ORIENTED: "yolo11p-obb",
    CLASSIFICATION: "yolo11p-cls",
}
TINY_TRANSFORMER = "yolov8p-rtdetr"


def defaults(task_type: str) -> dict[str, ConfigValue]:
    """The defaults of a task's fields."""
    return {config_field.name: config_field.default for config_field in FIELDS[task_type]}


def plain(task_type: str) -> dict[str, ConfigValue]:
    """A configuration that changes no image, updates after every batch and warms nothing up."""
    off: dict[str, ConfigValue] = dict.fromkeys(
        (
            *(f"augmentation.{name}" for name in ("mosaic", "hsv_h", "hsv_s", "hsv_v", "fliplr", "translate")),
            *(f"augmentation.{name}" for name in ("scale", "erasing")),
            "scheduler.warmup_epochs",
        ),
        0.0,
    )
    changes: dict[str, ConfigValue] = {**off, "augmentation.auto_augment": "none", "optimizer.nbs": 1}
    return {name: changes.get(name, value) for name, value in defaults(task_type).items()}


@dataclass(frozen=True)
class Reported:
    """One epoch's metrics."""

    epoch: int
    step: int
    loss: float
    accuracy: float | None
    learning_rate: float
    extra: Mapping[str, float]


@dataclass
class Recorder:
    """A reporter that remembers, and asks to stop at the ``stop_at``-th time it is asked."""

    stop_at: int | None = None
    asked: int = 0
    beginnings: list[tuple[int, int, int, str]] = field(default_factory=list)
    steps: list[tuple[int, int, int, float, float]] = field(default_factory=list)
    epochs: list[Reported] = field(default_factory=list)
    validations: list[tuple[int, Mapping[str, object]]] = field(default_factory=list)
    checkpoints: list[tuple[int, Path, bool, Mapping[str, float]]] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)

    def began(self, total_epochs: int, start_epoch: int, steps_per_epoch: int, device: str) -> None:
        self.beginnings.append((total_epochs, start_epoch, steps_per_epoch, device))

    def progress(self, epoch: int, step: int, steps: int, loss: float, samples_per_second: float) -> None:
        self.steps.append((epoch, step, steps, loss, samples_per_second))

    def metrics(
        self,
        epoch: int,
        step: int,
        loss: float | None,
        accuracy: float | None,
        learning_rate: float | None,
        extra: Mapping[str, float],
    ) -> None:
        assert loss is not None and learning_rate is not None
        self.epochs.append(Reported(epoch, step, loss, accuracy, learning_rate, dict(extra)))

    def validation(self, epoch: int, summary: Mapping[str, object]) -> None:
        self.validations.append((epoch, summary))

    def checkpoint(self, epoch: int, folder: Path, is_best: bool, metrics: Mapping[str, float]) -> None:
        assert (folder / "weights.safetensors").is_file()
        assert (folder / "training_state.safetensors").is_file()
        self.checkpoints.append((epoch, folder, is_best, dict(metrics)))

    def log(self, level: str, message: str) -> None:
        self.lines.append((level, message))

    def should_stop(self) -> bool:
        self.asked += 1
        return self.stop_at is not None and self.asked >= self.stop_at


def make_spec(
    task_type: str = DETECTION,
    config: Mapping[str, ConfigValue] | None = None,
    *,
    model_name: str = "",
    epochs: int = 2,
    batch_size: int = 4,
    learning_rate: float = 1e-3,
    image_size: int = SIZE,
    pretrained: bool = False,
    seed: int = 7,
    primary_metric: str = "val_loss",
    primary_metric_mode: str = "min",
    resume_from: Path | None = None,
    initial_weights: Path | None = None,
) -> TrainingSpec:
    """Return a complete specification; ``config`` changes single fields of ``plain``."""
    return TrainingSpec(
        job_id="job",
        run_id="run",
        model_name=model_name or TINY[task_type],
        task_type=task_type,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        image_size=image_size,
        pretrained=pretrained,
        seed=seed,
        config={**plain(task_type), **(config or {})},
        primary_metric=primary_metric,
        primary_metric_mode=primary_metric_mode,
        threads=1,
        resume_from=resume_from,
        initial_weights=initial_weights,
    )


def matrix_of(rows: Iterable[Mapping[str, Any]], classes: int) -> list[list[int]]:
    """Objects of validation images by [true class][predicted class], none last."""
    matrix = np.zeros((classes + 1, classes + 1), dtype=int)
    for row in rows:
        for label, predicted, *_ in row["objects"]:
            matrix[-1 if label is None else label][-1 if predicted is None else predicted] += 1
    found: list[list[int]] = matrix.tolist()
    return found


def write_shapes(root: Path, task_type: str, train: int = 10, val: int = 4) -> TrainingDataset:
    """Draw discs and squares on noise, one or two an image, annotated in every way at once."""
    rng = np.random.default_rng(0)
    images = []
    for split, count in (("train", train), ("val", val)):
        (root / split).mkdir(parents=True)
        for index in range(count):
            images.append(_draw(root, f"{split}/{index}.png", split, index, rng))
    images.sort(key=lambda image: image.path)
    posed = task_type == POSE
    categories = [
        Category(
            name,
            keypoint_names=("top", "right", "bottom", "left") if posed else (),
            flip_indices=(0, 3, 2, 1) if posed else (),
        )
        for name in CLASS_NAMES
    ]
    document = root / "annotations.jsonl.gz"
    write_document(document, categories, images, len(images))
    return TrainingDataset(root, CLASS_NAMES, (), document)


def write_classes(root: Path, train: int = 12, val: int = 6) -> TrainingDataset:
    """Images of one colour each, which is the class."""
    rng = np.random.default_rng(0)
    samples = []
    for split, count in (("train", train), ("val", val)):
        (root / split).mkdir(parents=True)
        for index in range(count):
            label = index % len(CLASS_NAMES)
            pixels = np.array(COLOURS[label]) + rng.normal(0, 25, (SIZE, SIZE, 3))
            path = f"{split}/{index}.png"
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / path)
            samples.append(Sample(path, split, label))
    return TrainingDataset(root, CLASS_NAMES, tuple(samples))


def write_dataset(root: Path, task_type: str) -> TrainingDataset:
    """A tiny dataset that a task can be trained on."""
    return write_classes(root) if task_type == CLASSIFICATION else write_shapes(root, task_type)


def _draw(root: Path, path: str, split: str, index: int, rng: np.random.Generator) -> AnnotatedImage:
    image = Image.fromarray(rng.integers(90, 160, (SIZE, SIZE + 16, 3), dtype=np.uint8))
    canvas = ImageDraw.Draw(image)
    objects = []
    for place in range(1 + index % 2):
        label = (index + place) % len(CLASS_NAMES)
        radius = int(rng.integers(9, 13))
        x, y = int(rng.integers(radius, 40 - radius)) + 38 * place, int(rng.integers(radius, SIZE - radius))
        corners = [
            (x - radius, y - radius),
            (x + radius, y - radius),
            (x + radius, y + radius),
            (x - radius, y + radius),
        ]
        outline = [(x + radius * math.cos(step), y + radius * math.sin(step)) for step in np.linspace(0, 6, 12)]
        if label:
            canvas.polygon(corners, fill=COLOURS[label])
        else:
            canvas.ellipse((*corners[0], *corners[2]), fill=COLOURS[label])
        points = ((x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y))
        objects.append(
            AnnotatedObject(
                category_id=label,
                box=Box(*corners[0], *corners[2]),
                polygons=(tuple(float(value) for point in (corners if label else outline) for value in point),),
                keypoints=tuple(Keypoint(*point, Visibility.VISIBLE) for point in points),
                rotated_box=tuple(float(value) for point in corners for value in point),
            )
        )
    image.save(root / path)
    return AnnotatedImage(path, image.width, image.height, split, tuple(objects))
