"""Settings that cannot work together, or not with the job, are named before anything trains."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.trainer_timm.helpers import DEFAULTS
from trainer.adapter import ConfigField, ConfigValue, FieldType, JobDraft
from trainer.validation import check_config
from trainer_timm.adapter import TimmAdapter
from trainer_timm.schema import classification_schema

SCHEMA = classification_schema()
JOB = JobDraft("test_resnet", epochs=10, batch_size=8, image_size=32, num_classes=3)


def refused(config: Mapping[str, ConfigValue], job: JobDraft = JOB) -> dict[str, str]:
    """Check a configuration as a trainer does, and return what is wrong by field."""
    checked = check_config(SCHEMA, config)
    assert not checked.violations
    found = TimmAdapter().check_job("IMAGE_CLASSIFICATION", job, checked.config)
    return {violation.field.removeprefix("advanced_config."): violation.description for violation in found}


@pytest.mark.parametrize("preset", SCHEMA.presets, ids=lambda preset: preset.name)
def test_presets_fit_an_ordinary_job(preset: object) -> None:
    assert refused(getattr(preset, "config")) == {}  # noqa: B009


@pytest.mark.parametrize(
    ("config", "job", "field", "words"),
    [
        ({"scheduler.warmup_epochs": 11}, JOB, "scheduler.warmup_epochs", "longer than the job's 10"),
        ({"freeze.backbone_epochs": 10}, JOB, "freeze.backbone_epochs", "fewer than the job's epochs"),
        ({"scheduler.cycles": 11}, JOB, "scheduler.cycles", "do not fit"),
        ({"mixing.type": "cutmix"}, JobDraft(batch_size=7, num_classes=3), "mixing.type", "even batch_size, not 7"),
        ({"mixing.type": "mixup"}, JobDraft(batch_size=1, num_classes=3), "mixing.type", "even batch_size, not 1"),
        ({"mixing.type": "both"}, JobDraft(batch_size=8, num_classes=1), "mixing.type", "at least two classes"),
        ({"optimizer.betas": [0.9]}, JOB, "optimizer.betas", "two numbers"),
        ({"scheduler.milestones": [3, 2]}, JOB, "scheduler.milestones", "later than the one before"),
        (
            {"augmentation.auto_augment": "custom", "augmentation.policy": "nonsense"},
            JOB,
            "augmentation.policy",
            "timm",
        ),
        ({"augmentation.auto_augment": "custom", "augmentation.policy": ""}, JOB, "augmentation.policy", "empty"),
        ({}, JobDraft("test_vit", image_size=40), "image_size", "cannot take images of 40 pixels"),
        ({"regularization.drop_path_rate": 0.1}, JobDraft("vgg11"), "regularization.drop_path_rate", "no drop path"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_work_is_named(config: Mapping[str, ConfigValue], job: JobDraft, field: str, words: str) -> None:
    found = refused(config, job)
    assert set(found) == {field}
    assert words in found[field]


def test_what_is_not_known_of_the_job_is_not_held_against_it() -> None:
    assert (
        refused({"scheduler.warmup_epochs": 11, "freeze.backbone_epochs": 5, "mixing.type": "both"}, JobDraft()) == {}
    )


@pytest.mark.parametrize("config_field", SCHEMA.fields, ids=lambda config_field: config_field.name)
def test_every_field_refuses_what_lies_outside(config_field: ConfigField) -> None:
    for value in outside(config_field):
        violations = check_config(SCHEMA, {config_field.name: value}).violations
        assert violations, value
        assert all(item.field.startswith(f"advanced_config.{config_field.name}") for item in violations)


def outside(config_field: ConfigField) -> list[object]:
    """Values below the minimum, above the maximum and of another type."""
    match config_field.type:
        case FieldType.NUMBER | FieldType.INTEGER:
            assert config_field.minimum is not None and config_field.maximum is not None
            wrong = [config_field.minimum - 1, config_field.maximum + 1, "1", True, [1.0], float("nan")]
            return [*wrong, config_field.maximum - 0.5] if config_field.type is FieldType.INTEGER else wrong
        case FieldType.NUMBER_LIST:
            assert config_field.minimum is not None and config_field.maximum is not None
            return [1.0, "1", ["1"], [config_field.minimum - 1], [config_field.maximum + 1]]
        case FieldType.BOOLEAN:
            return [1.0, "true", [True]]
        case FieldType.SELECT:
            return ["nothing like it", 1.0, True, None]
        case FieldType.TEXT:
            return [1.0, True, ["text"]]


def test_defaults_are_right_by_themselves() -> None:
    assert check_config(SCHEMA, DEFAULTS).violations == ()
