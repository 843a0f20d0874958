"""Models and datasets that several tests of the YOLO trainer use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.trainer_yolo.helpers import TINY, TINY_TRANSFORMER, write_dataset
from trainer.adapter import TrainingDataset
from trainer_yolo.definitions import definitions

SMALLER = (*TINY.values(), "yolo26p-pose", TINY_TRANSFORMER)
# Depth, width and most channels: a quarter of the smallest size's channels.
TINY_SCALE = [0.33, 0.0625, 256]
_SIZE = re.compile(r"(?<=\d)p")
# Width, queries, points, heads, layers and inner width of a decoder.
TINY_DECODER = [64, 40, 4, 4, 2, 64]


@pytest.fixture(scope="session", autouse=True)
def tiny() -> Iterator[None]:
    """Models that train in a second, under a size letter that ultralytics has not."""
    known = definitions()
    assert isinstance(known, dict)
    for name in SMALLER:
        smallest = known[_SIZE.sub("n", name)]
        content = {**smallest.content, "scales": {**smallest.content["scales"], "p": TINY_SCALE}}
        if smallest.is_rtdetr:
            *layers, (inputs, times, module, [classes]) = content["head"]
            content["head"] = [*layers, [inputs, times, module, [classes, *TINY_DECODER]]]
        known[name] = replace(smallest, name=name, scale="p", content=content)
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
