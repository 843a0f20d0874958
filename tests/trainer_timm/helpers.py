"""What the tests of the timm trainer share: datasets on disk, specifications and a reporter that remembers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from trainer.adapter import ConfigValue, Sample, TrainingDataset, TrainingSpec
from trainer_timm.schema import classification_schema

SIZE = 32
DEFAULTS: dict[str, ConfigValue] = {field.name: field.default for field in classification_schema().fields}
PLAIN: dict[str, ConfigValue] = {
    **DEFAULTS,
    "augmentation.hflip": 0.0,
    "augmentation.random_crop_scale_min": 1.0,
    "optimizer.weight_decay": 0.0,
    "scheduler.type": "none",
}


@dataclass(frozen=True)
class Reported:
    """One epoch's metrics."""

    epoch: int
    step: int
    loss: float
    accuracy: float
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
        assert loss is not None and accuracy is not None and learning_rate is not None
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
    config: Mapping[str, ConfigValue] | None = None,
    *,
    model_name: str = "test_resnet",
    epochs: int = 2,
    batch_size: int = 8,
    learning_rate: float = 1e-3,
    image_size: int = SIZE,
    pretrained: bool = False,
    seed: int = 7,
    primary_metric: str = "accuracy",
    primary_metric_mode: str = "max",
    resume_from: Path | None = None,
    initial_weights: Path | None = None,
) -> TrainingSpec:
    """Return a complete specification; ``config`` changes single fields of ``PLAIN``."""
    return TrainingSpec(
        job_id="job",
        run_id="run",
        model_name=model_name,
        task_type="IMAGE_CLASSIFICATION",
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        image_size=image_size,
        pretrained=pretrained,
        seed=seed,
        config={**PLAIN, **(config or {})},
        primary_metric=primary_metric,
        primary_metric_mode=primary_metric_mode,
        threads=1,
        resume_from=resume_from,
        initial_weights=initial_weights,
    )


def texture(label: int, rng: np.random.Generator) -> Image.Image:
    """Draw a noisy square whose brightness falls from left to right in steps that depend on the label."""
    ramp = np.linspace(255, 40 * label, SIZE)[None, :, None]
    pixels = np.clip(ramp + rng.normal(0, 25, (SIZE, SIZE, 3)), 0, 255)
    return Image.fromarray(pixels.astype(np.uint8))


def write_dataset(
    root: Path,
    class_names: Sequence[str] = ("a", "b", "c"),
    train: int = 15,
    val: int = 6,
    draw: Callable[[int, np.random.Generator], Image.Image] = texture,
) -> TrainingDataset:
    """Write PNG files, the labels taking turns."""
    rng = np.random.default_rng(0)
    samples = []
    for split, count in (("train", train), ("val", val)):
        (root / split).mkdir(parents=True)
        for index in range(count):
            label = index % len(class_names)
            path = f"{split}/{index}.png"
            draw(label, rng).save(root / path)
            samples.append(Sample(path, split, label))
    return TrainingDataset(root, tuple(class_names), tuple(samples))
