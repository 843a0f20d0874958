"""Fields that keep a model from learning images by heart."""

from __future__ import annotations

from trainer.adapter import Condition, ConfigField, FieldType

_GROUP = "Regularisation"
_EMA_ON = Condition("ema.enabled", (True,))

REGULARIZATION = (
    ConfigField(
        name="regularization.label_smoothing",
        type=FieldType.NUMBER,
        label="Label smoothing",
        description="Share of each label spread over all classes.",
        default=0.0,
        minimum=0.0,
        maximum=0.5,
        step=0.05,
        group=_GROUP,
    ),
    ConfigField(
        name="regularization.drop_rate",
        type=FieldType.NUMBER,
        label="Dropout",
        description="Probability of dropping a feature before the classifier.",
        default=0.0,
        minimum=0.0,
        maximum=0.9,
        step=0.05,
        group=_GROUP,
        advanced=True,
    ),
    ConfigField(
        name="regularization.drop_path_rate",
        type=FieldType.NUMBER,
        label="Drop path",
        description="Probability of skipping the last residual block, earlier ones less; not every model has it.",
        default=0.0,
        minimum=0.0,
        maximum=0.9,
        step=0.05,
        group=_GROUP,
        advanced=True,
    ),
    ConfigField(
        name="freeze.backbone_epochs",
        type=FieldType.INTEGER,
        label="Frozen backbone",
        description="First epochs in which only the classifier learns; fewer than the job's epochs.",
        default=0,
        minimum=0,
        maximum=1000,
        step=1,
        group=_GROUP,
    ),
    ConfigField(
        name="ema.enabled",
        type=FieldType.BOOLEAN,
        label="Averaged weights",
        description="Validates and publishes an exponential moving average of the weights.",
        default=False,
        group=_GROUP,
        advanced=True,
    ),
    ConfigField(
        name="ema.decay",
        type=FieldType.NUMBER,
        label="Decay of the average",
        description="Share of the average kept at an update; 0.99 averages about 100 updates, 0.9998 about 5,000.",
        default=0.999,
        minimum=0.0,
        maximum=0.99999,
        step=0.0001,
        condition=_EMA_ON,
        group=_GROUP,
        advanced=True,
    ),
    ConfigField(
        name="ema.warmup",
        type=FieldType.BOOLEAN,
        label="Warm-up of the average",
        description="Begins with a low decay that rises with the updates, so that short trainings profit too.",
        default=True,
        condition=_EMA_ON,
        group=_GROUP,
        advanced=True,
    ),
)
