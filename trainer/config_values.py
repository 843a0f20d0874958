"""Reading typed values out of ``advanced_config``."""

from __future__ import annotations

from collections.abc import Mapping

from trainer.adapter import ConfigValue


def number(config: Mapping[str, ConfigValue], name: str) -> float:
    """Return a NUMBER field. Raises KeyError when it is missing and TypeError when it is no number."""
    value = config[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {value!r}.")
    return float(value)


def integer(config: Mapping[str, ConfigValue], name: str) -> int:
    """Return an INTEGER field. Raises KeyError when it is missing and TypeError when it is not whole."""
    value = number(config, name)
    if not value.is_integer():
        raise TypeError(f"{name} must be a whole number, not {value!r}.")
    return int(value)


def text(config: Mapping[str, ConfigValue], name: str) -> str:
    """Return a SELECT field. Raises KeyError when it is missing and TypeError when it is no text."""
    value = config[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a text, not {value!r}.")
    return value


def numbers(config: Mapping[str, ConfigValue], name: str) -> list[float]:
    """Return a NUMBER_LIST field. Raises KeyError when it is missing and TypeError when it is no list."""
    value = config[name]
    if not isinstance(value, list):
        raise TypeError(f"{name} must be a list of numbers, not {value!r}.")
    return [float(item) for item in value]


def switch(config: Mapping[str, ConfigValue], name: str) -> bool:
    """Return a BOOLEAN field. Raises KeyError when it is missing and TypeError when it is neither true nor false."""
    value = config[name]
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be true or false, not {value!r}.")
    return value
