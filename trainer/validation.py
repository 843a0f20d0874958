"""Whether a configuration fits a schema, and what it becomes with the defaults filled in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from trainer.adapter import ConfigField, ConfigSchema, ConfigValue, FieldType, Violation
from trainer.nearest import nearest_names

CONFIG_PATH = "advanced_config"

# Every framework has these; they are fields of the job itself.
JOB_FIELDS = ("epochs", "batch_size", "learning_rate", "image_size", "pretrained", "seed")

# No schema comes near; comparing names of a hostile request would take minutes.
MAX_SETTINGS = 1000

# Whole numbers beyond it are not exact in a double, which is how a request carries them.
_MAX_EXACT_INTEGER = 2**53

_MAX_SHOWN_CHARACTERS = 80
_MAX_SHOWN_OPTIONS = 30


@dataclass(frozen=True)
class CheckedConfig:
    """Everything wrong with a configuration; or, when nothing is, a value for every field of the schema."""

    violations: tuple[Violation, ...]
    config: Mapping[str, ConfigValue]


def check_config(schema: ConfigSchema, config: Mapping[str, object]) -> CheckedConfig:
    """Check a configuration whose names are nested, dotted or both. Never raises: what is wrong is returned.

    ``config`` holds what JSON can: None, bool, numbers, str, lists, and mappings for nested names. Numbers may be
    doubles throughout.
    """
    fields = {field.name: field for field in schema.fields}
    leaves = frozenset(fields) | frozenset(JOB_FIELDS)
    given = list(_flatten(config, "", leaves))
    if len(given) > MAX_SETTINGS:
        return CheckedConfig((Violation(CONFIG_PATH, f"Give at most {MAX_SETTINGS} settings, not {len(given)}."),), {})
    violations: list[Violation] = []
    values: dict[str, ConfigValue] = {}
    seen: set[str] = set()
    for name, value in given:
        path = _path(name)
        if name in seen:
            violations.append(Violation(path, "It is given twice, nested and with a dotted name; give it once."))
            continue
        seen.add(name)
        if name in JOB_FIELDS:
            violations.append(Violation(path, f"Set {name} in the job, not in {CONFIG_PATH}."))
        elif name in fields:
            values[name], found = _check_value(fields[name], value)
            violations.extend(found)
        elif not (isinstance(value, Mapping) and any(known.startswith(f"{name}.") for known in fields)):
            violations.append(Violation(path, _unknown(name, fields)))
    if violations:
        return CheckedConfig(tuple(violations), {})
    return CheckedConfig((), {field.name: values.get(field.name, _default(field)) for field in schema.fields})


def _flatten(config: Mapping[str, object], prefix: str, leaves: frozenset[str]) -> Iterator[tuple[str, object]]:
    """Yield dotted names with values. A mapping is a value only where nothing can be nested: it is empty or a leaf."""
    pending: list[tuple[str, object]] = [(f"{prefix}{name}", value) for name, value in reversed(list(config.items()))]
    while pending:
        name, value = pending.pop()
        if isinstance(value, Mapping) and value and name not in leaves:
            pending.extend((f"{name}.{inner}", nested) for inner, nested in reversed(list(value.items())))
        else:
            yield name, value


def _check_value(field: ConfigField, value: object) -> tuple[ConfigValue, list[Violation]]:
    """Return the value in the field's type, or violations (and then a value of no meaning)."""
    if value is None:
        if field.default is None:
            return None, []
        return None, [Violation(_path(field.name), "It has no value; leave it out to use the default.")]
    return _CHECKS[field.type](field, value)


def _check_select(field: ConfigField, value: object) -> tuple[ConfigValue, list[Violation]]:
    values = [option.value for option in field.options]
    if isinstance(value, str) and value in values:
        return value, []
    shown = ", ".join(values[:_MAX_SHOWN_OPTIONS])
    more = f" or another {len(values) - _MAX_SHOWN_OPTIONS}" if len(values) > _MAX_SHOWN_OPTIONS else ""
    nearest = nearest_names(value, values, 1) if isinstance(value, str) else []
    hint = f" Did you mean {nearest[0]}?" if nearest else ""
    return None, [Violation(_path(field.name), f"It must be one of {shown}{more}, not {_show(value)}.{hint}")]


def _check_number(field: ConfigField, value: object) -> tuple[ConfigValue, list[Violation]]:
    number, wrong = _number(field, value)
    return number, [Violation(_path(field.name), wrong)] if wrong else []


def _check_integer(field: ConfigField, value: object) -> tuple[ConfigValue, list[Violation]]:
    number, wrong = _number(field, value)
    if not wrong and not number.is_integer():
        wrong = f"It must be a whole number, not {_show(value)}."
    if not wrong and abs(number) > _MAX_EXACT_INTEGER:
        wrong = f"It must lie between -2^53 and 2^53, not be {_show(value)}."
    return (None, [Violation(_path(field.name), wrong)]) if wrong else (int(number), [])


def _check_boolean(field: ConfigField, value: object) -> tuple[ConfigValue, list[Violation]]:
    if isinstance(value, bool):
        return value, []
    return None, [Violation(_path(field.name), f"It must be true or false, not {_show(value)}.")]


def _check_text(field: ConfigField, value: object) -> tuple[ConfigValue, list[Violation]]:
    if isinstance(value, str):
        return value, []
    return None, [Violation(_path(field.name), f"It must be text, not {_show(value)}.")]


def _check_number_list(field: ConfigField, value: object) -> tuple[ConfigValue, list[Violation]]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return None, [Violation(_path(field.name), f"It must be a list of numbers, not {_show(value)}.")]
    checked = [_number(field, element) for element in value]
    violations = [
        Violation(f"{_path(field.name)}[{index}]", wrong) for index, (_, wrong) in enumerate(checked) if wrong
    ]
    return [number for number, _ in checked], violations


_Check = Callable[[ConfigField, object], tuple[ConfigValue, list[Violation]]]

_CHECKS: Mapping[FieldType, _Check] = {
    FieldType.SELECT: _check_select,
    FieldType.NUMBER: _check_number,
    FieldType.INTEGER: _check_integer,
    FieldType.BOOLEAN: _check_boolean,
    FieldType.TEXT: _check_text,
    FieldType.NUMBER_LIST: _check_number_list,
}


def _number(field: ConfigField, value: object) -> tuple[float, str]:
    """Return a finite number within the field's bounds and an empty text, or 0 and what is wrong."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0, f"It must be a number, not {_show(value)}."
    try:
        number = float(value)
    except OverflowError:  # an int that no double can hold
        number = math.inf
    if not math.isfinite(number):
        return 0.0, f"It must be a finite number, not {_show(value)}."
    if field.minimum is not None and number < field.minimum:
        return 0.0, f"It must be at least {field.minimum:g}, not {_show(value)}."
    if field.maximum is not None and number > field.maximum:
        return 0.0, f"It must be at most {field.maximum:g}, not {_show(value)}."
    return number, ""


def _unknown(name: str, fields: Mapping[str, ConfigField]) -> str:
    known = nearest_names(name, [*fields, *JOB_FIELDS], 1)
    if not known:
        return "There is no such setting; GetConfigSchema lists those there are."
    where = f", which is set in the job, not in {CONFIG_PATH}" if known[0] in JOB_FIELDS else ""
    return f"There is no such setting. Did you mean {known[0]}{where}?"


def _default(field: ConfigField) -> ConfigValue:
    return list(field.default) if isinstance(field.default, list) else field.default


def _path(name: str) -> str:
    return f"{CONFIG_PATH}.{_shorten(name)}"


def _show(value: object) -> str:
    """Write a value as a request would; mappings and lists, which may be long, by kind."""
    if isinstance(value, str):
        return f'"{_shorten(value)}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        # Python refuses to print integers of thousands of digits.
        return f"{value:g}" if isinstance(value, float) or abs(value) <= _MAX_EXACT_INTEGER else "a huge number"
    if value is None:
        return "null"
    return "an object" if isinstance(value, Mapping) else "a list"


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[:_MAX_SHOWN_CHARACTERS]}…"
