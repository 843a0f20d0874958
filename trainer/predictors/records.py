"""What goes into a pool of predictors and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from trainer.adapter import Prediction
from trainer.cache.checkpoints import CheckpointFile


@dataclass(frozen=True)
class CheckpointSource:
    """A checkpoint in the object store: the files to predict with under ``storage_path``; ``digest`` identifies it."""

    checkpoint_id: str
    job_id: str
    storage_path: str
    files: tuple[CheckpointFile, ...]
    digest: str


@dataclass(frozen=True)
class Answer:
    """A prediction, the size in pixels of its upright image, and the time of preparing it and of its batch."""

    task_type: str
    model_name: str
    prediction: Prediction
    image_width: int
    image_height: int
    inference_seconds: float


@dataclass(frozen=True)
class LoadedPredictor:
    """A model in memory. ``last_used`` is when it last answered, or else when it was loaded."""

    source: CheckpointSource
    model_name: str
    memory_bytes: int
    last_used: datetime
    runtime: str
