"""Fields of the loss and of classes of unequal size."""

from __future__ import annotations

from trainer.adapter import Condition, ConfigField, ConfigOption, FieldType

_GROUP = "Loss"

LOSS = (
    ConfigField(
        name="loss.type",
        type=FieldType.SELECT,
        label="Loss",
        description="What the training makes small. Validation always tells cross-entropy.",
        default="cross_entropy",
        options=(
            ConfigOption("cross_entropy", "Cross-entropy", "One class excludes the others; the usual choice."),
            ConfigOption("bce", "Binary cross-entropy", "Each class for itself; with Mixup and CutMix often better."),
            ConfigOption("focal", "Focal", "Counts images that are right already for less; for rare classes."),
        ),
        group=_GROUP,
    ),
    ConfigField(
        name="loss.bce_threshold",
        type=FieldType.NUMBER,
        label="Target threshold",
        description="Shares of a class above it count as the whole class, below as none; 0: shares stay as they are.",
        default=0.0,
        minimum=0.0,
        maximum=0.99,
        step=0.05,
        condition=Condition("loss.type", ("bce",)),
        group=_GROUP,
        advanced=True,
    ),
    ConfigField(
        name="loss.focal_gamma",
        type=FieldType.NUMBER,
        label="Focus",
        description="How much less an image counts that is right already; 0 counts all alike.",
        default=2.0,
        minimum=0.0,
        maximum=10.0,
        step=0.5,
        condition=Condition("loss.type", ("focal",)),
        group=_GROUP,
    ),
    ConfigField(
        name="loss.class_weights",
        type=FieldType.SELECT,
        label="Class weights",
        description="How much each class counts in the loss.",
        default="none",
        options=(
            ConfigOption("none", "None", "Every image counts alike."),
            ConfigOption("balanced", "Balanced", "An image counts for more the fewer its class has; 1 on average."),
        ),
        group=_GROUP,
    ),
    ConfigField(
        name="loading.balanced_sampling",
        type=FieldType.BOOLEAN,
        label="Balanced sampling",
        description="Draws images, with repeats, so that an epoch shows every class about equally often.",
        default=False,
        group=_GROUP,
    ),
)
