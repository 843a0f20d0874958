"""The schema of ``advanced_config``."""

from __future__ import annotations

from trainer.adapter import ConfigSchema
from trainer_timm.fields import CLASSIFICATION_FIELDS, MIXED_PRECISION
from trainer_timm.presets import complete_presets


def classification_schema(mixed_precision: bool) -> ConfigSchema:
    """Return fields and presets; the field of mixed precision only where it makes a training faster."""
    fields = (*CLASSIFICATION_FIELDS, MIXED_PRECISION) if mixed_precision else CLASSIFICATION_FIELDS
    return ConfigSchema(fields=fields, presets=complete_presets(fields))
