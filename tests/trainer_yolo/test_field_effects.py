"""Every field of every task's schema changes the training, and in the way that it says.

For each field two trainings differ in it alone. A field without an observation fails the test.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.trainer_yolo.observations import OBSERVATIONS, Observation
from tests.trainer_yolo.outcomes import set_up, train
from trainer.adapter import ConfigField, ConfigValue, TrainingDataset
from trainer_yolo.fields import FIELDS
from trainer_yolo.training import Run

DatasetOf = Callable[[str], TrainingDataset]

CASES = [
    pytest.param(task_type, config_field, id=f"{task_type.lower()}-{config_field.name}")
    for task_type, fields in FIELDS.items()
    for config_field in fields
]


@pytest.mark.parametrize(("task_type", "config_field"), CASES)
def test_every_field_has_an_effect(
    task_type: str,
    config_field: ConfigField,
    dataset_of: DatasetOf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = config_field.name
    assert name in OBSERVATIONS, "a field without an observation may as well not exist"
    observation = OBSERVATIONS[name]
    assert observation.first != observation.second
    if name == "computation.amp":
        monkeypatch.setattr("trainer_yolo.arguments.has_fast_bfloat16", lambda: True)
    if name == "early_stopping.patience":
        monkeypatch.setattr(Run, "fitness", lambda self, trainer, results: 1.0)
    dataset = dataset_of(task_type)
    first = _outcome(observation, task_type, {name: observation.first}, dataset, tmp_path / "first")
    second = _outcome(observation, task_type, {name: observation.second}, dataset, tmp_path / "second")
    assert observation.holds(first, second)


def _outcome(
    observation: Observation,
    task_type: str,
    config: dict[str, ConfigValue],
    dataset: TrainingDataset,
    folder: Path,
) -> Any:
    spec = observation.spec(task_type, config)
    return (train if observation.trained else set_up)(spec, dataset, folder)


def test_nothing_is_observed_that_no_schema_has() -> None:
    assert OBSERVATIONS.keys() == {config_field.name for fields in FIELDS.values() for config_field in fields}
