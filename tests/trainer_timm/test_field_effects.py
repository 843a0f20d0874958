"""Every field of the schema changes the training, and in the way that it says.

For each field two short trainings differ in it alone. A field without an observation fails the test.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.trainer_timm.helpers import make_spec
from tests.trainer_timm.observations import OBSERVATIONS
from tests.trainer_timm.outcomes import train
from trainer.adapter import ConfigField, FieldType, TrainingDataset
from trainer_timm.schema import classification_schema

FIELDS = classification_schema().fields


@pytest.fixture(autouse=True)
def bfloat16_counts_as_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU computes bfloat16 as well, only slowly: enough to see that mixed precision is used."""
    monkeypatch.setattr("trainer_timm.training.has_fast_bfloat16", lambda: True)


@pytest.fixture(scope="session")
def unequal(textures: TrainingDataset) -> TrainingDataset:
    """The textures with fewer images of the first class to train on."""
    first = [sample for sample in textures.split("train") if sample.label_id == 0]
    return replace(textures, samples=tuple(sample for sample in textures.samples if sample not in first[:3]))


@pytest.mark.parametrize("config_field", FIELDS, ids=lambda config_field: config_field.name)
def test_every_field_has_an_effect(config_field: ConfigField, unequal: TrainingDataset, tmp_path: Path) -> None:
    assert config_field.name in OBSERVATIONS, "a field without an observation may as well not exist"
    observation = OBSERVATIONS[config_field.name]
    outcomes = [
        train(tmp_path / name, unequal, observation.spec({config_field.name: value}))
        for name, value in (("first", observation.first), ("second", observation.second))
    ]
    assert observation.holds(*outcomes), [(outcome.losses, outcome.learning_rates) for outcome in outcomes]


def test_no_observation_outlives_its_field() -> None:
    assert set(OBSERVATIONS) == {config_field.name for config_field in FIELDS}


@pytest.mark.parametrize(
    "config_field", [item for item in FIELDS if item.condition], ids=lambda config_field: config_field.name
)
def test_a_hidden_field_has_no_effect(config_field: ConfigField, textures: TrainingDataset, tmp_path: Path) -> None:
    condition, observation = config_field.condition, OBSERVATIONS[config_field.name]
    assert condition is not None
    other = next(item for item in FIELDS if item.name == condition.field)
    values = [False] if other.type is FieldType.BOOLEAN else [option.value for option in reversed(other.options)]
    hidden = next(value for value in values if value not in condition.values)
    first, second = (
        train(tmp_path / name, textures, make_spec({condition.field: hidden, config_field.name: value}, epochs=1))
        for name, value in (("first", observation.first), ("second", observation.second))
    )
    assert first.losses == second.losses
    assert first.learning_rates == second.learning_rates
    assert all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)


@pytest.mark.parametrize(
    "policy", [option.value for item in FIELDS for option in item.options if item.name == "augmentation.auto_augment"]
)
def test_every_augmentation_policy_trains(policy: str, textures: TrainingDataset, tmp_path: Path) -> None:
    assert len(train(tmp_path, textures, make_spec({"augmentation.auto_augment": policy}, epochs=1)).losses) == 1
