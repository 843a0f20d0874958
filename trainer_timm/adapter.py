"""The timm side of the adapter protocol. Importing this module imports neither torch nor timm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from trainer.adapter import (
    ConfigSchema,
    ConfigValue,
    JobDraft,
    ModelInfo,
    Predictor,
    TrainingDataset,
    TrainingReporter,
    TrainingSpec,
    Violation,
)
from trainer_timm.names import CLASSIFICATION, FRAMEWORK, PRIMARY_METRICS


class TimmAdapter:
    """Trains and serves image classifiers built by timm."""

    framework = FRAMEWORK

    def __init__(self, pretrained_folder: Path | None = None) -> None:
        self._pretrained_folder = pretrained_folder

    def versions(self) -> Mapping[str, str]:
        """Return the installed version of each library that shapes a result."""
        return library_versions("timm", "torch", "torchvision", "torchmetrics")

    def task_types(self) -> Sequence[str]:
        return (CLASSIFICATION,)

    def list_models(self) -> Sequence[ModelInfo]:
        from trainer_timm.catalogue import list_models

        return list_models()

    def get_model(self, name: str) -> ModelInfo:
        """Return one model with its parameter count. Raises KeyError when timm has no such model."""
        from trainer_timm.catalogue import get_model

        return get_model(name)

    def config_schema(self, task_type: str) -> ConfigSchema:
        """Return the schema of ``advanced_config``. Raises KeyError for a task type other than classification."""
        from trainer_timm.schema import classification_schema

        if task_type != CLASSIFICATION:
            raise KeyError(task_type)
        return classification_schema()

    def primary_metrics(self, task_type: str) -> Mapping[str, str]:
        """Return what every classification measures, whatever its classes; accuracy is the default.

        Raises KeyError for a task type other than classification.
        """
        return {CLASSIFICATION: PRIMARY_METRICS}[task_type]

    def check_pretrained(self, model_name: str) -> None:
        """Raise PretrainedUnavailable within seconds when the weights are neither local nor on a reachable hub."""
        from trainer_timm.pretrained import check_pretrained

        check_pretrained(model_name, self._pretrained_folder)

    def check_job(self, task_type: str, job: JobDraft, config: Mapping[str, ConfigValue]) -> Sequence[Violation]:
        """Return settings that do not go together, or not with the job."""
        from trainer_timm.config_checks import check_job

        return check_job(job, config)

    def preload_training(self) -> None:
        """Import all that a training needs."""
        from trainer_timm import preloading  # noqa: F401

    def train(self, spec: TrainingSpec, dataset: TrainingDataset, run_folder: Path, reporter: TrainingReporter) -> bool:
        """Train; return True when all epochs are done or training stopped early, False when asked to stop."""
        from trainer_timm.training import train

        return train(spec, dataset, run_folder, reporter, self.versions(), self._pretrained_folder)

    def load_predictor(self, checkpoint_folder: Path, threads: int) -> Predictor:
        """Load the weights of a checkpoint folder for prediction on ``threads`` torch threads.

        Needs no network. Raises FileNotFoundError when the folder holds no weights, and SafetensorError when they
        are not of this trainer.
        """
        from trainer_timm.prediction import TimmPredictor

        return TimmPredictor(checkpoint_folder, threads)


def library_versions(*names: str) -> dict[str, str]:
    """Return the installed version of each library."""
    return {name: metadata.version(name) for name in names}
