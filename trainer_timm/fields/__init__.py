"""The fields of ``advanced_config`` for classification, a module a group; every one of them changes the training."""

from __future__ import annotations

from trainer.adapter import ConfigField
from trainer_timm.fields.augmentation import AUGMENTATION
from trainer_timm.fields.loss import LOSS
from trainer_timm.fields.mixing import MIXING
from trainer_timm.fields.optimizer import OPTIMIZER
from trainer_timm.fields.regularization import REGULARIZATION
from trainer_timm.fields.run import RUN
from trainer_timm.fields.scheduler import SCHEDULER

CLASSIFICATION_FIELDS: tuple[ConfigField, ...] = (
    *OPTIMIZER,
    *SCHEDULER,
    *AUGMENTATION,
    *MIXING,
    *LOSS,
    *REGULARIZATION,
    *RUN,
)
