"""A small part of scikit-learn's real digits, and a training on it that takes seconds."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image
from sklearn.datasets import load_digits

from visionmesh.calls.registry import to_struct
from visionmesh.client import Client
from visionmesh.v1 import dataset_pb2, training_pb2

SIDE = 32
REQUEST_ID = "the start of a training"
SETTINGS = {"augmentation.hflip": 0.0, "augmentation.random_crop_scale_min": 1.0}


@cache
def _digits() -> Any:
    return load_digits()


def png(number: int) -> bytes:
    """The digit of that number as a PNG."""
    image = Image.fromarray((_digits().images[number] * (255 / 16)).astype("uint8")).resize((SIDE, SIDE))
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()


def files(classes: int = 3, per_class: int = 20, val: int = 5) -> dict[str, bytes]:
    """``train/<digit>/<number>.png`` and ``val/…``: DICE class folders."""
    targets = _digits().target
    found: dict[str, bytes] = {}
    for label in range(classes):
        numbers = [int(number) for number in (targets == label).nonzero()[0][: per_class + val]]
        for place, number in enumerate(numbers):
            found[f"{'train' if place < per_class else 'val'}/{label}/{number:04}.png"] = png(number)
    return found


def write(folder: Path, content: dict[str, bytes]) -> Path:
    """Write files below a folder, which is given back."""
    for path, data in content.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def upload(client: Client, folder: Path, name: str = "digits", **how: Any) -> dataset_pb2.Dataset:
    """Upload class folders and wait until they are READY."""
    how = {"format": dataset_pb2.DATASET_FORMAT_DICE, **how}
    dataset = client.wait_for_dataset(client.upload_folder(folder, name, **how).id)
    assert dataset.state == dataset_pb2.DATASET_STATE_READY, dataset
    return dataset


def spec(dataset_id: str, *, epochs: int = 2, settings: dict[str, Any] | None = None, **fields: Any) -> Any:
    """A job that trains ``test_resnet``."""
    given: dict[str, Any] = {
        "experiment_name": "digits",
        "framework": "timm",
        "model_name": "test_resnet",
        "dataset_id": dataset_id,
        "epochs": epochs,
        "batch_size": 16,
        "learning_rate": 4e-3,
        "image_size": SIDE,
        "seed": 1,
        "advanced_config": to_struct({**SETTINGS, **(settings or {})}),
    }
    return training_pb2.TrainingJobSpec(**{**given, **fields})
