"""The second half of the demo: scenes of digits, a detector that is trained on them, and what it finds on new ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from examples.digit_scenes import make_scenes, write_scenes
from visionmesh.calls.registry import to_struct
from visionmesh.cli.drawing import draw_prediction
from visionmesh.client import Client
from visionmesh.v1 import training_pb2

MODEL, IMAGE_SIZE, EPOCHS = "yolo11n", 128, 12
TARGET_MAP50 = 0.8
SCENES = {"train": 300, "val": 40}
UNSEEN = 12
# An update for every batch, since the dataset is small; and digits mean something else mirrored.
SETTINGS = {"optimizer.nbs": 1, "augmentation.fliplr": 0.0, "augmentation.scale": 0.2}
COLUMNS, CELL = 4, 320


def export_scenes(folder: Path, unseen_folder: Path) -> list[Path]:
    """Write a dataset of scenes with boxes, and scenes that are not uploaded; gives the latter's files."""
    write_scenes(folder, SCENES, seed=0)
    unseen_folder.mkdir(parents=True, exist_ok=True)
    [scenes] = make_scenes([UNSEEN], np.random.default_rng(1))
    paths = [unseen_folder / f"{number:02}.png" for number in range(len(scenes))]
    for scene, path in zip(scenes, paths, strict=True):
        scene.image.save(path)
    return paths


def detector(dataset_id: str, epochs: int) -> training_pb2.TrainingJobSpec:
    """A job that trains YOLO's smallest detector from nothing."""
    return training_pb2.TrainingJobSpec(
        experiment_name="scenes",
        framework="yolo",
        model_name=MODEL,
        dataset_id=dataset_id,
        epochs=epochs,
        batch_size=16,
        learning_rate=2e-3,
        image_size=IMAGE_SIZE,
        seed=0,
        advanced_config=to_struct(SETTINGS),
    )


def precision_reached(client: Client, job_id: str) -> float:
    """The best mean average precision at half an overlap, over all classes; in [0, 1]."""
    return max((metric.extra_metrics["mAP50"] for metric in client.metrics(job_id)), default=0.0)


def detect(client: Client, job_id: str, images: Sequence[Path], sheet: Path) -> int:
    """Find the digits on images and draw them, all on one sheet; gives how many were found."""
    found = 0
    drawn: list[Path] = []
    for path, answer in zip(images, client.predict_stream(images, job_id=job_id), strict=True):
        found += len(answer.response.detections)
        drawn.append(path.with_name(f"{path.stem}-found.jpg"))
        draw_prediction(path, answer.response, drawn[-1])
    rows = -(-len(drawn) // COLUMNS)
    picture = Image.new("RGB", (COLUMNS * CELL, rows * CELL), "white")
    for place, path in enumerate(drawn):
        with Image.open(path) as image:
            image.thumbnail((CELL - 8, CELL - 8))
            picture.paste(image, (place % COLUMNS * CELL + 4, place // COLUMNS * CELL + 4))
    picture.save(sheet)
    return found
