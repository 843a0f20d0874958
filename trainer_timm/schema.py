"""The schema of ``advanced_config``."""

from __future__ import annotations

from functools import lru_cache

from trainer.adapter import ConfigSchema
from trainer_timm.fields import CLASSIFICATION_FIELDS
from trainer_timm.presets import complete_presets


@lru_cache(maxsize=1)
def classification_schema() -> ConfigSchema:
    """Return fields and presets. They are the same on every machine, so that a job can move between trainers."""
    return ConfigSchema(fields=CLASSIFICATION_FIELDS, presets=complete_presets(CLASSIFICATION_FIELDS))
