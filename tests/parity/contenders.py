"""The trainers that the suite is run against: what each needs to train something small in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from visionmesh.calls.registry import to_struct
from visionmesh.v1 import training_pb2


@dataclass(frozen=True)
class Contender:
    """A framework behind a mesh, and a training of it that takes a second or two.

    ``endless`` is a number of epochs that does not end while a test looks. ``settings`` are of its own schema.
    """

    module: str
    framework: str
    model: str
    image_size: int
    endless: int
    settings: dict[str, Any] = field(default_factory=dict)

    def spec(self, dataset_id: str, epochs: int, **fields: Any) -> training_pb2.TrainingJobSpec:
        """A job for the contender."""
        given: dict[str, Any] = {
            "framework": self.framework,
            "model_name": self.model,
            "dataset_id": dataset_id,
            "epochs": epochs,
            "batch_size": 16,
            "learning_rate": 4e-3,
            "image_size": self.image_size,
            "seed": 1,
            "advanced_config": to_struct(self.settings),
        }
        return training_pb2.TrainingJobSpec(**{**given, **fields})


CONTENDERS = (
    Contender("trainer_timm", "timm", "test_resnet", 32, endless=200),
    Contender("trainer_yolo", "yolo", "yolo11n-cls", 32, endless=200),
    Contender("examples.trainer_centroid", "centroid", "nearest_centroid", 16, endless=5000),
)
