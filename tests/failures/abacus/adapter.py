"""The counting framework of the trainers' tests, which here also predicts, and gets into trouble when it is told to."""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from tests.trainer.counting_adapter import CountingAdapter
from trainer.adapter import (
    Classification,
    ConfigField,
    ConfigSchema,
    Export,
    FieldType,
    Prediction,
    PredictOptions,
    TrainingDataset,
    TrainingReporter,
    TrainingSpec,
)

TROUBLE = ConfigField("abacus.trouble", FieldType.TEXT, "Trouble", "What happens in the epoch of trouble.", default="")
EPOCH = ConfigField("abacus.epoch", FieldType.INTEGER, "Epoch of trouble", "From 1; 0: none.", default=0)
# A prediction of an image as wide as this is under way until someone ends it.
ENDLESS_WIDTH = 64
_ENDLESS_SECONDS = 600.0


class AbacusAdapter(CountingAdapter):
    """Counts, and in the epoch of trouble has it before it tells its metrics."""

    framework = "abacus"

    def config_schema(self, task_type: str) -> ConfigSchema:
        return ConfigSchema((*super().config_schema(task_type).fields, TROUBLE, EPOCH), ())

    def load_predictor(self, checkpoint_folder: Path, threads: int) -> AbacusPredictor:
        return AbacusPredictor(json.loads((checkpoint_folder / "weights.safetensors").read_bytes())["epoch"])

    def _tell_epoch(
        self,
        spec: TrainingSpec,
        dataset: TrainingDataset,
        epoch: int,
        steps: int,
        accuracy: float,
        run_folder: Path,
        reporter: TrainingReporter,
    ) -> None:
        if epoch == spec.config[EPOCH.name]:
            _TROUBLES[str(spec.config[TROUBLE.name])](run_folder)
        super()._tell_epoch(spec, dataset, epoch, steps, accuracy, run_folder, reporter)


class AbacusPredictor:
    """Answers with the epoch of its checkpoint."""

    task_type, model_name, batch_size, runtime, memory_bytes = "IMAGE_CLASSIFICATION", "abacus", 1, "beads", 1
    class_names: tuple[str, ...] = ("counted",)

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def prepare(self, image: Image.Image) -> int:
        return image.width

    def predict_batch(self, inputs: Sequence[int], options: Sequence[PredictOptions]) -> Sequence[Prediction]:
        if ENDLESS_WIDTH in inputs:
            print("an endless prediction began", flush=True)
            time.sleep(_ENDLESS_SECONDS)
        return [Prediction(classifications=(Classification("counted", self._epoch, 1.0),)) for _ in inputs]

    def export(self, runtime: str) -> Export | None:
        return None


def _raise(run_folder: Path) -> None:
    raise RuntimeError("a bead is missing")


def _limit_spool(run_folder: Path) -> None:
    """From here on no file of this process may grow beyond what its spool has: it cannot even say how it ended."""
    _limit_files((run_folder / "training.spool").stat().st_size)


def _write_large_checkpoint(run_folder: Path) -> None:
    """Write a file that is larger than what the disk takes, while its spool has room left."""
    _limit_files(1 << 20)
    (run_folder / "work" / "large").write_bytes(bytes(2 << 20))


def _fill_disk(run_folder: Path) -> None:
    """Take every byte that the disk has left, and go on."""
    with (run_folder / "work" / "ballast").open("wb", buffering=0) as ballast:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    ballast.write(bytes(size))
            except OSError:
                continue  # less may still fit


def _limit_files(size_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


_TROUBLES: dict[str, Callable[[Path], None]] = {
    "raise": _raise,
    "no room for the spool": _limit_spool,
    "no room for a checkpoint": _write_large_checkpoint,
    "fill the disk": _fill_disk,
    "exit": lambda run_folder: os._exit(3),
}
