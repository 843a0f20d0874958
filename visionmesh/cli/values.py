"""Text of the command line as values of the contract, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import Any, TypeVar, cast

import typer
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.timestamp_pb2 import Timestamp

Enum = TypeVar("Enum", bound=int)


def enum_value(enum: type[Enum], prefix: str, text: str, option: str) -> Enum:
    """The value that ``text`` names, with or without prefix, in any case; with ``-`` for ``_``.

    Raises ``typer.BadParameter`` naming the choices.
    """
    name = text.strip().upper().replace("-", "_")
    name = name if name.startswith(prefix) else prefix + name
    if name not in _names(enum).keys() or name == prefix + "UNSPECIFIED":  # noqa: SIM118 - it is no dict
        choices = ", ".join(enum_choices(enum, prefix))
        raise typer.BadParameter(f"{text!r} is none of {choices}", param_hint=option)
    return cast(Enum, _names(enum).Value(name))


def enum_choices(enum: type[Enum], prefix: str) -> list[str]:
    """What can be given for an enum, as a person would type it."""
    names: Sequence[str] = _names(enum).keys()
    return [name.removeprefix(prefix).lower() for name in names if name != prefix + "UNSPECIFIED"]


def enum_text(enum: type[Enum], prefix: str, value: Enum) -> str:
    """A value for a person: its name without prefix, or a dash when unspecified."""
    name = _names(enum).Name(value).removeprefix(prefix)
    return "-" if name == "UNSPECIFIED" else name


def _names(enum: type[Enum]) -> EnumTypeWrapper:
    # To a type checker a generated enum is a class; at run time it is this.
    return cast(EnumTypeWrapper, enum)


def settings(pairs: Iterable[str]) -> dict[str, Any]:
    """``name=value`` pairs as a configuration; a value is read as JSON, and as text when it is none."""
    config: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip():
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--set")
        config[name.strip()] = _json_or_text(text)
    return config


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def bytes_text(size: int) -> str:
    """A size for a person."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def time_text(time: Timestamp) -> str:
    """A time for a person, in the zone of this machine; a dash when unset."""
    if not time.seconds and not time.nanos:
        return "-"
    return time.ToDatetime(tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def count_text(count: int) -> str:
    """A count of parameters for a person."""
    if count >= 1_000_000:
        return f"{count / 1_000_000:.1f} M"
    return f"{count / 1000:.0f} k" if count >= 1000 else str(count or "-")


def duration_text(seconds: float) -> str:
    """A length of time for a person, in its two largest units."""
    left = max(round(seconds), 0)
    if left < 60:
        return f"{left} s"
    if left < 3600:
        return f"{left // 60} min {left % 60:02} s"
    if left < 86_400:
        return f"{left // 3600} h {left % 3600 // 60:02} min"
    return f"{left // 86_400} d {left % 86_400 // 3600} h"


def printable(text: str) -> str:
    """Text of somebody else's, without characters that would act on a terminal."""
    return "".join(each if each.isprintable() or each in "\t\n" else "\N{REPLACEMENT CHARACTER}" for each in text)
