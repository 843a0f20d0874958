"""The ultralytics side of the adapter protocol. Importing this module imports neither torch nor ultralytics."""

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
from trainer_yolo.environment import prepare
from trainer_yolo.names import FRAMEWORK, PRIMARY_METRICS, TASKS


class YoloAdapter:
    """Trains and serves models that ultralytics defines."""

    framework = FRAMEWORK

    def __init__(self, pretrained_folder: Path | None = None) -> None:
        self._pretrained_folder = pretrained_folder

    def versions(self) -> Mapping[str, str]:
        """Return the installed version of each library that shapes a result."""
        from trainer_yolo.definitions import ultralytics_version

        return {
            "ultralytics": ultralytics_version(),
            **{name: metadata.version(name) for name in ("torch", "torchvision")},
        }

    def task_types(self) -> Sequence[str]:
        return TASKS

    def list_models(self) -> Sequence[ModelInfo]:
        from trainer_yolo.catalogue import list_models

        return list_models()

    def get_model(self, name: str) -> ModelInfo:
        """Return one model with its parameter count. Raises KeyError when ultralytics defines no such model."""
        from trainer_yolo.catalogue import get_model

        return get_model(name)

    def config_schema(self, task_type: str) -> ConfigSchema:
        """Return the schema of ``advanced_config``. Raises KeyError for a task type that is none of these."""
        from trainer_yolo.schema import config_schema

        return config_schema(task_type)

    def primary_metrics(self, task_type: str) -> Mapping[str, str]:
        """Return what every validation of a task measures. Raises KeyError for a task type that is none of these."""
        return PRIMARY_METRICS[task_type]

    def check_pretrained(self, model_name: str) -> None:
        """Raise PretrainedUnavailable at once when the operator's folder has no weights of the model."""
        from trainer_yolo.pretrained_folder import check_pretrained

        check_pretrained(model_name, self._pretrained_folder)

    def check_job(self, task_type: str, job: JobDraft, config: Mapping[str, ConfigValue]) -> Sequence[Violation]:
        """Return settings that do not go together, or not with the job."""
        from trainer_yolo.config_checks import check_job

        return check_job(task_type, job, config)

    def preload_training(self) -> None:
        """Import all that a training needs."""
        from trainer_yolo import preloading  # noqa: F401

    def train(self, spec: TrainingSpec, dataset: TrainingDataset, run_folder: Path, reporter: TrainingReporter) -> bool:
        """Train; return True when all epochs are done or training stopped early, False when asked to stop."""
        # What ultralytics writes of itself goes into the run's folder.
        prepare(run_folder / "ultralytics")
        from trainer_yolo.training import train

        return train(spec, dataset, run_folder, reporter, self.versions(), self._pretrained_folder)

    def load_predictor(self, checkpoint_folder: Path, threads: int) -> Predictor:
        """Load the weights of a checkpoint folder for prediction on ``threads`` torch threads.

        Needs no network. Raises FileNotFoundError when the folder holds no weights, and SafetensorError when they
        are not of this trainer, or of a model that is not defined here.
        """
        from trainer_yolo.prediction import TorchPredictor

        return TorchPredictor(checkpoint_folder, threads)
