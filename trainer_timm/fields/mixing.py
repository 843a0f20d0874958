"""Fields of mixing two images and their labels."""

from __future__ import annotations

from trainer.adapter import Condition, ConfigField, ConfigOption, FieldType

_GROUP = "Mixing"
_ON = Condition("mixing.type", ("mixup", "cutmix", "both"))

MIXING = (
    ConfigField(
        name="mixing.type",
        type=FieldType.SELECT,
        label="Mixing of images",
        description="Trains on mixtures of two images; needs at least two classes and an even batch size.",
        default="none",
        options=(
            ConfigOption("none", "None"),
            ConfigOption("mixup", "Mixup", "Blends two images."),
            ConfigOption("cutmix", "CutMix", "Puts a rectangle of one image into another."),
            ConfigOption("both", "Both", "Mixup or CutMix, by chance."),
        ),
        group=_GROUP,
    ),
    ConfigField(
        name="mixing.mixup_alpha",
        type=FieldType.NUMBER,
        label="Mixup strength",
        description="Alpha of the beta distribution of shares: small values mostly keep one image, 1 mixes evenly.",
        default=0.8,
        minimum=0.01,
        maximum=10.0,
        step=0.1,
        condition=Condition("mixing.type", ("mixup", "both")),
        group=_GROUP,
    ),
    ConfigField(
        name="mixing.cutmix_alpha",
        type=FieldType.NUMBER,
        label="CutMix strength",
        description="Alpha of the beta distribution of areas: small values mostly keep one image, 1 cuts evenly.",
        default=1.0,
        minimum=0.01,
        maximum=10.0,
        step=0.1,
        condition=Condition("mixing.type", ("cutmix", "both")),
        group=_GROUP,
    ),
    ConfigField(
        name="mixing.prob",
        type=FieldType.NUMBER,
        label="Mixing probability",
        description="Probability of mixing a batch, or an image of it.",
        default=1.0,
        minimum=0.0,
        maximum=1.0,
        step=0.05,
        condition=_ON,
        group=_GROUP,
    ),
    ConfigField(
        name="mixing.switch_prob",
        type=FieldType.NUMBER,
        label="CutMix probability",
        description="Probability of CutMix rather than Mixup.",
        default=0.5,
        minimum=0.0,
        maximum=1.0,
        step=0.05,
        condition=Condition("mixing.type", ("both",)),
        group=_GROUP,
        advanced=True,
    ),
    ConfigField(
        name="mixing.mode",
        type=FieldType.SELECT,
        label="Mixing per",
        description="What draws its own share.",
        default="batch",
        options=(
            ConfigOption("batch", "Batch"),
            ConfigOption("pair", "Pair of images"),
            ConfigOption("elem", "Image"),
        ),
        condition=_ON,
        group=_GROUP,
        advanced=True,
    ),
    ConfigField(
        name="mixing.last_epoch",
        type=FieldType.INTEGER,
        label="Last mixed epoch",
        description="Later epochs train on whole images; 0: all epochs mix.",
        default=0,
        minimum=0,
        maximum=100000,
        step=1,
        condition=_ON,
        group=_GROUP,
        advanced=True,
    ),
)
