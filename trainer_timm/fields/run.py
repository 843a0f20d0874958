"""Fields of how a training runs: when it ends, what it keeps, how it computes."""

from __future__ import annotations

from trainer.adapter import Condition, ConfigField, ConfigOption, FieldType
from trainer_timm.names import PRIMARY_METRICS

_STOPPING_ON = Condition("early_stopping.enabled", (True,))
_STOPPING = "Early stopping"

RUN = (
    ConfigField(
        name="early_stopping.enabled",
        type=FieldType.BOOLEAN,
        label="Early stopping",
        description="Completes the job before its last epoch when a metric has stopped getting better.",
        default=False,
        group=_STOPPING,
    ),
    ConfigField(
        name="early_stopping.metric",
        type=FieldType.SELECT,
        label="Metric watched",
        description="Metric of the validation that has to get better.",
        default="primary",
        options=(
            ConfigOption("primary", "The job's primary metric"),
            *(ConfigOption(name, name, f"Better when {mode}imal.") for name, mode in PRIMARY_METRICS.items()),
        ),
        condition=_STOPPING_ON,
        group=_STOPPING,
        advanced=True,
    ),
    ConfigField(
        name="early_stopping.patience",
        type=FieldType.INTEGER,
        label="Patience",
        description="Epochs without a better metric after which the training ends.",
        default=10,
        minimum=1,
        maximum=1000,
        step=1,
        condition=_STOPPING_ON,
        group=_STOPPING,
    ),
    ConfigField(
        name="early_stopping.min_change",
        type=FieldType.NUMBER,
        label="Smallest change",
        description="Change of the metric, in its own unit, that counts as better.",
        default=0.0,
        minimum=0.0,
        maximum=100.0,
        step=0.001,
        condition=_STOPPING_ON,
        group=_STOPPING,
        advanced=True,
    ),
    ConfigField(
        name="checkpoint.interval",
        type=FieldType.INTEGER,
        label="Checkpoint interval",
        description=(
            "Epochs from one checkpoint to the next; the best and the last epoch always have one. A stopped training "
            "goes on from its last checkpoint."
        ),
        default=1,
        minimum=1,
        maximum=1000,
        step=1,
        group="Checkpoints",
        advanced=True,
    ),
    ConfigField(
        name="precision.amp",
        type=FieldType.BOOLEAN,
        label="Mixed precision",
        description=(
            "Computes in bfloat16 where that loses nothing: faster, and with less memory, on a GPU. "
            "A CPU ignores it, and the job's log says so."
        ),
        default=False,
        group="Computation",
    ),
    ConfigField(
        name="precision.channels_last",
        type=FieldType.BOOLEAN,
        label="Channels last",
        description="Keeps the channels of a pixel together in memory: faster for many convolutional models.",
        default=False,
        group="Computation",
        advanced=True,
    ),
    ConfigField(
        name="loading.workers",
        type=FieldType.INTEGER,
        label="Loading workers",
        description="Processes that read and augment images; 0: the training itself, -1: the trainer decides.",
        default=-1,
        minimum=-1,
        maximum=64,
        step=1,
        group="Computation",
        advanced=True,
    ),
)
