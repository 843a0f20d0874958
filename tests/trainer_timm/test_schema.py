"""The schema is whole: defaults and presets are valid, and conditions point at what exists."""

from __future__ import annotations

from dataclasses import replace

import pytest
from timm.optim import get_optimizer_info, list_optimizers  # type: ignore[attr-defined]  # public, no `as`

from trainer.adapter import ConfigField, ConfigValue, FieldType
from trainer_timm.adapter import TimmAdapter
from trainer_timm.schema import classification_schema

SCHEMA = classification_schema()
FIELDS = {field.name: field for field in SCHEMA.fields}
PRESETS = {preset.name: preset for preset in SCHEMA.presets}


def is_valid(field: ConfigField, value: ConfigValue) -> bool:
    """Say whether the value has the field's type and lies within its bounds."""
    if field.type is FieldType.SELECT:
        return value in [option.value for option in field.options]
    if field.type is FieldType.BOOLEAN:
        return isinstance(value, bool)
    if field.type is FieldType.TEXT:
        return isinstance(value, str)
    if field.type is FieldType.NUMBER_LIST:
        number = replace(field, type=FieldType.NUMBER)
        return isinstance(value, list) and all(is_valid(number, element) for element in value)
    assert field.type in (FieldType.NUMBER, FieldType.INTEGER)
    if isinstance(value, bool) or not isinstance(value, int if field.type is FieldType.INTEGER else float):
        return False
    assert field.minimum is not None and field.maximum is not None and field.step is not None
    return field.minimum <= value <= field.maximum


def test_names_are_unique_and_dotted() -> None:
    assert len(FIELDS) == len(SCHEMA.fields)
    assert all("." in name for name in FIELDS)


@pytest.mark.parametrize("field", SCHEMA.fields, ids=lambda field: field.name)
def test_a_field_explains_itself_and_its_default_is_valid(field: ConfigField) -> None:
    assert field.label and field.description and field.group
    assert is_valid(field, field.default)


@pytest.mark.parametrize("preset", SCHEMA.presets, ids=lambda preset: preset.name)
@pytest.mark.parametrize("field", SCHEMA.fields, ids=lambda field: field.name)
def test_presets_are_complete_and_valid(field: ConfigField, preset: object) -> None:
    config = PRESETS[getattr(preset, "name")].config  # noqa: B009
    assert set(config) == set(FIELDS)
    assert is_valid(field, config[field.name])


def test_presets_differ_and_say_when_to_use_them() -> None:
    assert list(PRESETS) == [
        "basic",
        "standard",
        "advanced",
        "fine_tune_small",
        "from_scratch",
        "strong_augmentation",
    ]
    assert len({str(sorted(preset.config.items())) for preset in SCHEMA.presets}) == len(PRESETS)
    assert all(preset.description.startswith("Use it ") and preset.label for preset in SCHEMA.presets)


@pytest.mark.parametrize("field", [field for field in SCHEMA.fields if field.condition], ids=lambda field: field.name)
def test_a_condition_names_a_field_and_values_that_it_can_take(field: ConfigField) -> None:
    assert field.condition is not None
    other = FIELDS[field.condition.field]
    assert field.condition.values
    assert all(is_valid(other, value) for value in field.condition.values)
    # A condition that always holds would hide nothing.
    choices: set[ConfigValue] = {option.value for option in other.options} or {True, False}
    assert choices - set(field.condition.values)


def test_images_are_flipped_and_cropped_by_default_and_the_basic_preset_does_neither() -> None:
    assert FIELDS["augmentation.hflip"].default == 0.5
    assert FIELDS["augmentation.random_crop_scale_min"].default == 0.5
    assert PRESETS["basic"].config["augmentation.hflip"] == 0.0
    assert PRESETS["basic"].config["augmentation.random_crop_scale_min"] == 1.0


def test_mixed_precision_is_offered_everywhere_and_says_what_a_cpu_does() -> None:
    assert "CPU ignores it" in FIELDS["precision.amp"].description
    assert TimmAdapter().config_schema("IMAGE_CLASSIFICATION") == SCHEMA


def test_optimisers_are_described_by_timm() -> None:
    options = {option.value: option.description for option in FIELDS["optimizer.type"].options}
    assert {"adam", "adamw", "sgd", "lamb", "lion"} <= set(options) <= set(list_optimizers())
    assert all(description.startswith(get_optimizer_info(name).description) for name, description in options.items())


def test_another_task_type_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        TimmAdapter().config_schema("OBJECT_DETECTION")
