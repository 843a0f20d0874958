"""Rows that are whole but for what a test is about."""

from __future__ import annotations

from typing import Any

from storage.database.events import NewEvent
from storage.database.ids import new_id
from storage.database.tables import Dataset, DatasetFile, TrainingJob, now


def dataset(user_id: str, **fields: Any) -> Dataset:
    """A dataset that waits for files."""
    defaults = {
        "id": new_id("ds"),
        "user_id": user_id,
        "project_id": "birds",
        "name": "garden",
        "format": "IMAGE_FOLDER",
        "state": "UPLOADING",
    }
    return Dataset(**{**defaults, **fields})


def dataset_file(dataset_id: str, path: str, size_bytes: int = 10) -> DatasetFile:
    """A file of a dataset."""
    return DatasetFile(dataset_id=dataset_id, path=path, size_bytes=size_bytes, sha256="0" * 64)


def job(user_id: str, **fields: Any) -> TrainingJob:
    """A job that was created and not started."""
    defaults = {
        "id": new_id("job"),
        "user_id": user_id,
        "project_id": "birds",
        "framework": "timm",
        "model_name": "resnet18",
        "task_type": "IMAGE_CLASSIFICATION",
        "dataset_id": "ds_1",
        "dataset_format": "IMAGE_FOLDER",
        "manifest_digest": "0" * 64,
        "num_classes": 2,
        "epochs": 3,
        "batch_size": 4,
        "learning_rate": 0.001,
        "image_size": 32,
        "primary_metric": "accuracy",
        "primary_metric_mode": "max",
        "state": "PENDING",
    }
    return TrainingJob(**{**defaults, **fields})


def event(run_id: str, source_sequence: int, source: str = "training", kind: str = "METRIC") -> NewEvent:
    """An event whose payload tells its place in the log and in its source."""

    def payload(sequence: int) -> bytes:
        return f"{sequence}:{source}:{source_sequence}".encode()

    return NewEvent(run_id, source, source_sequence, kind, now(), payload)
