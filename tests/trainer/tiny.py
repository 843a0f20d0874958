"""A real classifier, trained for a moment through the adapter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from trainer.adapter import Sample, TrainingDataset, TrainingSpec
from trainer_timm.adapter import TimmAdapter

CLASS_NAMES = ("blue", "red")


class CheckpointKeeper:
    """A reporter that remembers the folder of the last checkpoint."""

    folder: Path

    def began(self, total_epochs: int, start_epoch: int, steps_per_epoch: int, device: str) -> None: ...
    def progress(self, epoch: int, step: int, steps: int, loss: float, samples_per_second: float) -> None: ...
    def metrics(
        self,
        epoch: int,
        step: int,
        loss: float | None,
        accuracy: float | None,
        learning_rate: float | None,
        extra: Mapping[str, float],
    ) -> None: ...
    def validation(self, epoch: int, summary: Mapping[str, object]) -> None: ...
    def log(self, level: str, message: str) -> None: ...

    def checkpoint(self, epoch: int, folder: Path, is_best: bool, metrics: Mapping[str, float]) -> None:
        self.folder = folder

    def should_stop(self) -> bool:
        return False


def train_tiny_classifier(root: Path) -> Path:
    """Return the checkpoint folder, below ``root``, of a test_resnet that tells red from blue images."""
    samples = []
    for label_id, name in enumerate(CLASS_NAMES):
        for number in range(12):
            split = "val" if number < 2 else "train"
            path = f"{split}/{name}{number}.png"
            (root / "images" / split).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 32), name).save(root / "images" / path)
            samples.append(Sample(path, split, label_id))
    adapter = TimmAdapter()
    spec = TrainingSpec(
        job_id="job",
        run_id="run",
        model_name="test_resnet",
        task_type="IMAGE_CLASSIFICATION",
        epochs=4,
        batch_size=4,
        learning_rate=0.004,
        image_size=32,
        pretrained=False,
        seed=1,
        config={field.name: field.default for field in adapter.config_schema("IMAGE_CLASSIFICATION").fields},
        primary_metric="accuracy",
        primary_metric_mode="max",
        threads=1,
    )
    keeper = CheckpointKeeper()
    dataset = TrainingDataset(root / "images", CLASS_NAMES, tuple(samples))
    assert adapter.train(spec, dataset, root / "run", keeper)
    return keeper.folder
