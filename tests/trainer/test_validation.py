"""A configuration is checked against a schema: every fault is found at once, and named where it is."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.adapter import ConfigField, ConfigOption, ConfigSchema, ConfigValue, FieldType
from trainer.nearest import nearest_names
from trainer.validation import MAX_SETTINGS, check_config


def make_field(name: str, type: FieldType, default: ConfigValue, **more: Any) -> ConfigField:
    return ConfigField(name=name, type=type, label=name, description="", default=default, **more)


SCHEMA = ConfigSchema(
    fields=(
        make_field(
            "optimizer.type",
            FieldType.SELECT,
            "adamw",
            options=(ConfigOption("adamw", "AdamW"), ConfigOption("sgd", "SGD")),
        ),
        make_field("optimizer.weight_decay", FieldType.NUMBER, 0.05, minimum=0.0, maximum=1.0),
        make_field("scheduler.warmup_epochs", FieldType.INTEGER, 0, minimum=0, maximum=100),
        make_field("scheduler.milestones", FieldType.NUMBER_LIST, [0.5, 0.75], minimum=0.0, maximum=1.0),
        make_field("augmentation.mirror", FieldType.BOOLEAN, False),
        make_field("notes", FieldType.TEXT, ""),
        make_field("scheduler.budget", FieldType.INTEGER, None),
    ),
    presets=(),
)
NAMES = [field.name for field in SCHEMA.fields]


def faults(config: dict[str, Any]) -> dict[str, str]:
    checked = check_config(SCHEMA, config)
    assert bool(checked.violations) == (not checked.config)
    return {violation.field.removeprefix("advanced_config."): violation.description for violation in checked.violations}


def test_an_empty_configuration_becomes_the_defaults_in_order() -> None:
    checked = check_config(SCHEMA, {})

    assert checked.violations == ()
    assert list(checked.config) == NAMES
    assert checked.config["optimizer.type"] == "adamw"
    assert checked.config["scheduler.milestones"] == [0.5, 0.75]
    assert checked.config["scheduler.milestones"] is not SCHEMA.fields[3].default
    assert checked.config["scheduler.budget"] is None


def test_nested_and_dotted_names_mean_the_same() -> None:
    nested = {"optimizer": {"type": "sgd", "weight_decay": 0.5}, "scheduler": {}}
    dotted = {"optimizer.type": "sgd", "optimizer.weight_decay": 0.5}

    assert check_config(SCHEMA, nested) == check_config(SCHEMA, dotted)
    assert check_config(SCHEMA, nested).config["optimizer.type"] == "sgd"


def test_a_name_given_both_ways_is_refused_even_with_equal_values() -> None:
    found = faults({"optimizer": {"type": "sgd"}, "optimizer.type": "sgd"})

    assert found == {"optimizer.type": "It is given twice, nested and with a dotted name; give it once."}


def test_whole_doubles_are_integers_and_stay_numbers_elsewhere() -> None:
    checked = check_config(SCHEMA, {"scheduler.warmup_epochs": 5.0, "optimizer.weight_decay": 1})

    assert checked.config["scheduler.warmup_epochs"] == 5
    assert type(checked.config["scheduler.warmup_epochs"]) is int
    assert type(checked.config["optimizer.weight_decay"]) is float


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("optimizer.type", "sdg", 'must be one of adamw, sgd, not "sdg". Did you mean sgd?'),
        ("optimizer.type", 1.0, "must be one of adamw, sgd, not 1."),
        ("optimizer.type", {"name": "sgd"}, "must be one of adamw, sgd, not an object."),
        ("optimizer.weight_decay", 1.5, "at most 1, not 1.5"),
        ("optimizer.weight_decay", -0.1, "at least 0, not -0.1"),
        ("optimizer.weight_decay", True, "must be a number, not true"),
        ("optimizer.weight_decay", "0.1", 'must be a number, not "0.1"'),
        ("optimizer.weight_decay", math.nan, "finite number, not nan"),
        ("optimizer.weight_decay", math.inf, "finite number, not inf"),
        ("optimizer.weight_decay", 10**400, "finite number, not a huge number"),
        ("scheduler.warmup_epochs", 1.5, "whole number, not 1.5"),
        ("scheduler.warmup_epochs", 101.0, "at most 100, not 101"),
        ("scheduler.warmup_epochs", False, "must be a number, not false"),
        ("scheduler.budget", 2.0**60, "between -2^53 and 2^53"),
        ("scheduler.milestones", 0.5, "must be a list of numbers, not 0.5"),
        ("scheduler.milestones", "0.5", "must be a list of numbers"),
        ("augmentation.mirror", 1.0, "must be true or false, not 1"),
        ("augmentation.mirror", "true", 'must be true or false, not "true"'),
        ("notes", 3.0, "must be text, not 3"),
        ("notes", ["a"], "must be text, not a list"),
        ("notes", None, "leave it out to use the default"),
    ],
)
def test_a_wrong_value_is_refused_with_what_would_be_right(name: str, value: object, said: str) -> None:
    found = faults({name: value})

    assert list(found) == [name]
    assert said in found[name]


def test_null_is_a_value_where_it_is_the_default() -> None:
    assert check_config(SCHEMA, {"scheduler.budget": None}).config["scheduler.budget"] is None


def test_each_wrong_element_of_a_list_is_named() -> None:
    found = faults({"scheduler.milestones": [0.1, 2.0, True, math.nan]})

    assert list(found) == [f"scheduler.milestones[{index}]" for index in (1, 2, 3)]
    assert "at most 1" in found["scheduler.milestones[1]"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("optimiser.type", "optimizer.type"),
        ("weight_decay", "optimizer.weight_decay"),
        ("optimizer.weight_deca", "optimizer.weight_decay"),
        ("optimizer.type.name", "optimizer.type"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, meant: str) -> None:
    assert faults({name: 1.0})[name] == f"There is no such setting. Did you mean {meant}?"


def test_an_unknown_name_like_no_other_is_refused_without_a_guess() -> None:
    assert faults({"zzz": 1.0})["zzz"] == "There is no such setting; GetConfigSchema lists those there are."


def test_a_group_that_does_not_exist_is_refused_even_when_empty() -> None:
    assert list(faults({"optimiser": {}})) == ["optimiser"]
    assert faults({"optimizer": {}}) == {}
    assert list(faults({"optimizer": 3.0})) == ["optimizer"]


@pytest.mark.parametrize("name", ["epochs", "batch_size", "learning_rate", "image_size", "pretrained", "seed"])
@pytest.mark.parametrize("value", [10.0, {"value": 10.0}, None])
def test_what_the_job_says_is_refused_here(name: str, value: object) -> None:
    assert faults({name: value}) == {name: f"Set {name} in the job, not in advanced_config."}


def test_a_misspelt_field_of_the_job_is_found() -> None:
    assert "Did you mean epochs, which is set in the job" in faults({"epoch": 10.0})["epoch"]


def test_all_faults_are_found_at_once() -> None:
    found = faults(
        {
            "optimizer": {"type": "adamm", "weight_decay": -1.0, "momentun": 0.9},
            "scheduler.warmup_epochs": 0.5,
            "augmentation": {"mirror": "yes"},
            "epochs": 10.0,
        }
    )

    assert sorted(found) == [
        "augmentation.mirror",
        "epochs",
        "optimizer.momentun",
        "optimizer.type",
        "optimizer.weight_decay",
        "scheduler.warmup_epochs",
    ]


def test_a_flood_of_names_is_refused_quickly_and_long_text_is_not_repeated() -> None:
    flood = check_config(SCHEMA, {f"name{number}": 1.0 for number in range(MAX_SETTINGS + 1)})
    long = check_config(SCHEMA, {"x" * 100_000: 1.0, "optimizer.type": "y" * 100_000})

    assert [violation.field for violation in flood.violations] == ["advanced_config"]
    assert all(len(violation.field) + len(violation.description) < 500 for violation in long.violations)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from([*NAMES, "optimizer", "scheduler", "epochs", "optimizer.", ".", ""]) | st.text(max_size=12)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(names, json_values, max_size=8))
def test_whatever_is_sent_is_answered(config: dict[str, Any]) -> None:
    checked = check_config(SCHEMA, config)

    if checked.violations:
        assert checked.config == {}
        assert all(
            violation.field.startswith("advanced_config.") and violation.description for violation in checked.violations
        )
    else:
        assert list(checked.config) == NAMES
        # What was made is right, and making it again changes nothing.
        assert check_config(SCHEMA, checked.config) == checked


def test_nearest_names_come_most_similar_first() -> None:
    known = ["resnet18", "resnet26", "resnet50", "vit_tiny", "resnet180"]

    assert nearest_names("resnet-18", known, 2) == ["resnet18", "resnet180"]
    assert nearest_names("qqqq", known, 3) == []
    assert nearest_names("", known, 3) == []
