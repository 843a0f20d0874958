"""The schemas of ``advanced_config``."""

from __future__ import annotations

from functools import lru_cache

from trainer.adapter import ConfigSchema
from trainer_yolo.fields import FIELDS
from trainer_yolo.presets import complete_presets


@lru_cache(maxsize=len(FIELDS))
def config_schema(task_type: str) -> ConfigSchema:
    """Return fields and presets of a task, the same on every machine. Raises KeyError for another task."""
    fields = FIELDS[task_type]
    return ConfigSchema(fields=fields, presets=complete_presets(fields))
