"""Models and datasets that several tests of the YOLO trainer use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.trainer_yolo.helpers import TINY, write_dataset
from trainer.adapter import TrainingDataset
from trainer_yolo.definitions import definitions

# Depth, width and most channels: a quarter of the smallest size's channels.
SMALLER = (*TINY.values(), "yolo26p-pose")
TINY_SCALE = [0.33, 0.0625, 256]


@pytest.fixture(scope="session", autouse=True)
def tiny() -> Iterator[None]:
    """Models of the families of YOLO11 that train in a second, under a size letter that ultralytics has not."""
    known = definitions()
    assert isinstance(known, dict)
    for name in SMALLER:
        smallest = known[name.replace("p", "n", 1)]
        scales = {**smallest.content["scales"], "p": TINY_SCALE}
        known[name] = replace(smallest, name=name, scale="p", content={**smallest.content, "scales": scales})
    yield
    for name in SMALLER:
        del known[name]


@pytest.fixture(scope="session")
def dataset_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], TrainingDataset]:
    """A tiny dataset for a task type; tests only read it."""
    written: dict[str, TrainingDataset] = {}

    def of(task_type: str) -> TrainingDataset:
        if task_type not in written:
            written[task_type] = write_dataset(tmp_path_factory.mktemp(task_type), task_type)
        return written[task_type]

    return of
