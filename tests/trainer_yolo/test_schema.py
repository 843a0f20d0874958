"""The schemas are whole: defaults are ultralytics' own, presets are valid, conditions point at what exists."""

from __future__ import annotations

import pytest
from ultralytics.cfg import CFG_BOOL_KEYS, CFG_FLOAT_KEYS, CFG_FRACTION_KEYS, CFG_INT_KEYS, CFG_INT_MIN, get_cfg

from trainer.adapter import ConfigField, ConfigValue, FieldType, Preset
from trainer.validation import JOB_FIELDS, check_config
from trainer_yolo.adapter import YoloAdapter
from trainer_yolo.definitions import training_defaults
from trainer_yolo.fields import ARGUMENTS, FIELDS
from trainer_yolo.names import CLASSIFICATION, DETECTION, ORIENTED, POSE, SEGMENTATION, TASKS

SCHEMAS = {task_type: YoloAdapter().config_schema(task_type) for task_type in TASKS}
ALL = [
    pytest.param(task, field, id=f"{task}-{field.name}") for task, schema in SCHEMAS.items() for field in schema.fields
]
PRESETS = [
    pytest.param(task, preset, id=f"{task}-{preset.name}")
    for task, schema in SCHEMAS.items()
    for preset in schema.presets
]
# Ours on purpose: why, their descriptions say.
OTHER_DEFAULTS = {"optimizer.type", "learning.freeze", "computation.amp", "computation.workers", "checkpoint.interval"}


@pytest.mark.parametrize(("task_type", "field"), ALL)
def test_a_field_explains_itself_and_has_ultralytics_own_default(task_type: str, field: ConfigField) -> None:
    assert "." in field.name and field.label and field.description.endswith(".") and field.group
    assert not check_config(SCHEMAS[task_type], {field.name: field.default}).violations
    if field.name not in OTHER_DEFAULTS:
        assert field.default == training_defaults()[ARGUMENTS[field.name]]


@pytest.mark.parametrize(("task_type", "field"), ALL)
def test_ultralytics_accepts_every_value_that_a_field_allows(task_type: str, field: ConfigField) -> None:
    argument = ARGUMENTS.get(field.name)
    if argument is None:
        return
    values: list[ConfigValue] = [option.value for option in field.options]
    if field.type in (FieldType.NUMBER, FieldType.INTEGER):
        assert field.minimum is not None and field.maximum is not None and field.step is not None
        kind = int if field.type is FieldType.INTEGER else float
        values = [kind(field.minimum), kind(field.maximum)]
        assert argument in (CFG_FLOAT_KEYS | CFG_FRACTION_KEYS | CFG_INT_KEYS | {"freeze", "scale"})
        assert (argument in CFG_INT_KEYS | {"freeze"}) == (field.type is FieldType.INTEGER)
        assert field.minimum >= CFG_INT_MIN.get(argument, -1)
    if field.type is FieldType.BOOLEAN:
        values = [False, True]
        assert argument in CFG_BOOL_KEYS | {"amp"}
    for value in values:
        if value not in ("none", -1):
            get_cfg(overrides={argument: value})


@pytest.mark.parametrize("task_type", TASKS)
def test_names_are_unique_and_none_is_a_field_of_the_job(task_type: str) -> None:
    names = [field.name for field in FIELDS[task_type]]
    assert len(names) == len(set(names))
    assert not {ARGUMENTS.get(name) for name in names} & {*JOB_FIELDS, "batch", "imgsz", "lr0"}


@pytest.mark.parametrize(("task_type", "preset"), PRESETS)
def test_presets_are_complete_and_valid(task_type: str, preset: Preset) -> None:
    assert preset.description.startswith("Use it ") and preset.label
    assert set(preset.config) == {field.name for field in FIELDS[task_type]}
    assert not check_config(SCHEMAS[task_type], dict(preset.config)).violations


@pytest.mark.parametrize("task_type", TASKS)
def test_presets_differ(task_type: str) -> None:
    presets = SCHEMAS[task_type].presets
    assert [preset.name for preset in presets] == ["basic", "standard", "advanced", "fine_tune_small"]
    assert len({str(sorted(preset.config.items())) for preset in presets}) == len(presets)


@pytest.mark.parametrize(("task_type", "field"), ALL)
def test_a_condition_names_a_field_and_values_that_it_can_take(task_type: str, field: ConfigField) -> None:
    if field.condition is None:
        return
    other = next(candidate for candidate in FIELDS[task_type] if candidate.name == field.condition.field)
    choices = {option.value for option in other.options}
    assert set(field.condition.values) < choices


def test_a_task_has_the_fields_of_its_own_losses_and_no_others() -> None:
    names = {task_type: {field.name for field in FIELDS[task_type]} for task_type in TASKS}
    assert {"loss.pose", "loss.kobj", "loss.rle"} <= names[POSE]
    assert {"mask.overlap_mask", "mask.mask_ratio", "augmentation.copy_paste"} <= names[SEGMENTATION]
    assert {"loss.angle", "augmentation.copy_paste"} <= names[ORIENTED]
    assert {"augmentation.auto_augment", "augmentation.erasing", "learning.dropout"} <= names[CLASSIFICATION]
    for task_type in (DETECTION, ORIENTED, SEGMENTATION, CLASSIFICATION):
        assert "loss.pose" not in names[task_type]
    assert not {"augmentation.mosaic", "loss.box", "learning.rect"} & names[CLASSIFICATION]
    assert "augmentation.copy_paste" not in names[DETECTION] | names[POSE]


def test_another_task_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        YoloAdapter().config_schema("DEPTH")
