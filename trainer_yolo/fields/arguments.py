"""Fields whose defaults ultralytics sets itself, in the file of its arguments."""

from __future__ import annotations

from trainer.adapter import Condition, ConfigField, ConfigOption, FieldType
from trainer_yolo.definitions import training_defaults

Fields = tuple[ConfigField, ...]


class Group:
    """Fields of one group, each named ``<prefix>.<name of ultralytics' argument>``."""

    def __init__(self, prefix: str, label: str) -> None:
        self._prefix = prefix
        self._label = label

    def number(
        self,
        argument: str,
        label: str,
        description: str,
        maximum: float,
        *,
        minimum: float = 0.0,
        step: float = 0.01,
        condition: Condition | None = None,
        advanced: bool = False,
    ) -> ConfigField:
        """A number whose default is ultralytics' own."""
        return ConfigField(
            name=f"{self._prefix}.{argument}",
            type=FieldType.NUMBER,
            label=label,
            description=description,
            default=float(training_defaults()[argument]),
            minimum=minimum,
            maximum=maximum,
            step=step,
            condition=condition,
            group=self._label,
            advanced=advanced,
        )

    def integer(
        self,
        argument: str,
        label: str,
        description: str,
        maximum: int,
        *,
        minimum: int = 0,
        default: int | None = None,
        advanced: bool = False,
    ) -> ConfigField:
        """A whole number whose default is ultralytics' own unless one is given."""
        return ConfigField(
            name=f"{self._prefix}.{argument}",
            type=FieldType.INTEGER,
            label=label,
            description=description,
            default=int(training_defaults()[argument]) if default is None else default,
            minimum=minimum,
            maximum=maximum,
            step=1,
            group=self._label,
            advanced=advanced,
        )

    def switch(
        self, argument: str, label: str, description: str, *, default: bool | None = None, advanced: bool = True
    ) -> ConfigField:
        """A switch whose default is ultralytics' own unless one is given."""
        return ConfigField(
            name=f"{self._prefix}.{argument}",
            type=FieldType.BOOLEAN,
            label=label,
            description=description,
            default=bool(training_defaults()[argument]) if default is None else default,
            group=self._label,
            advanced=advanced,
        )

    def select(
        self,
        argument: str,
        label: str,
        description: str,
        options: tuple[ConfigOption, ...],
        *,
        default: str | None = None,
        condition: Condition | None = None,
        advanced: bool = False,
    ) -> ConfigField:
        """A choice whose default is ultralytics' own unless one is given."""
        return ConfigField(
            name=f"{self._prefix}.{argument}",
            type=FieldType.SELECT,
            label=label,
            description=description,
            default=str(training_defaults()[argument]) if default is None else default,
            options=options,
            condition=condition,
            group=self._label,
            advanced=advanced,
        )
