"""Fields of how images to learn from are changed, by task."""

from __future__ import annotations

from trainer.adapter import Condition, ConfigField, ConfigOption
from trainer_yolo.fields.arguments import Group

_AUGMENTATION = Group("augmentation", "Augmentation")


def _colour(condition: Condition | None = None) -> tuple[ConfigField, ...]:
    return (
        _AUGMENTATION.number("hsv_h", "Hue", "Largest change of the hue.", 0.5, step=0.005, condition=condition),
        _AUGMENTATION.number(
            "hsv_s", "Saturation", "Largest change of the saturation.", 1.0, step=0.1, condition=condition
        ),
        _AUGMENTATION.number(
            "hsv_v", "Brightness", "Largest change of the brightness.", 1.0, step=0.1, condition=condition
        ),
    )


_FLIPS = (
    _AUGMENTATION.number(
        "fliplr", "Horizontal flip", "Probability of mirroring an image left to right.", 1.0, step=0.1
    ),
    _AUGMENTATION.number("flipud", "Vertical flip", "Probability of mirroring an image top to bottom.", 1.0, step=0.1),
)

DETECTION_AUGMENTATION = (
    _AUGMENTATION.number(
        "mosaic",
        "Mosaic",
        "Probability of putting four images together; the single strongest augmentation.",
        1.0,
        step=0.1,
    ),
    _AUGMENTATION.integer(
        "close_mosaic",
        "Last epochs without mosaic",
        "Epochs at the end in which images are neither put together, mixed nor pasted into.",
        1000,
    ),
    _AUGMENTATION.number("mixup", "Mixup", "Probability of blending two images.", 1.0, step=0.1),
    _AUGMENTATION.number("cutmix", "CutMix", "Probability of pasting a rectangle of another image.", 1.0, step=0.1),
    *_colour(),
    *_FLIPS,
    _AUGMENTATION.number("degrees", "Rotation", "Largest rotation in degrees.", 180.0, step=1.0),
    _AUGMENTATION.number("translate", "Shift", "Largest shift as a share of the image.", 1.0, step=0.05),
    _AUGMENTATION.number("scale", "Scale", "Largest change of size: 0.5 from half to one and a half.", 0.99, step=0.05),
    _AUGMENTATION.number("shear", "Shear", "Largest shear in degrees.", 90.0, step=1.0, advanced=True),
    _AUGMENTATION.number(
        "perspective", "Perspective", "Largest change of perspective.", 0.01, step=0.0001, advanced=True
    ),
    _AUGMENTATION.number(
        "bgr", "Swapped channels", "Probability of swapping red and blue.", 1.0, step=0.1, advanced=True
    ),
    _AUGMENTATION.number(
        "multi_scale",
        "Batch sizes in pixels",
        "Largest change of the image size from batch to batch, as a share of it.",
        0.9,
        step=0.1,
        advanced=True,
    ),
)
PASTING = (
    _AUGMENTATION.number(
        "copy_paste", "Copy and paste", "Share of objects that are pasted a second time.", 1.0, step=0.1
    ),
    _AUGMENTATION.select(
        "copy_paste_mode",
        "Pasted from",
        "Where pasted objects come from.",
        (
            ConfigOption("flip", "The mirrored image"),
            ConfigOption("mixup", "Another image"),
        ),
        advanced=True,
    ),
)
AUTO_AUGMENT = _AUGMENTATION.select(
    "auto_augment",
    "Policy",
    "A published policy of many changes; it takes the place of changes of colour.",
    (
        ConfigOption("none", "None"),
        ConfigOption("randaugment", "RandAugment"),
        ConfigOption("autoaugment", "AutoAugment", "As found on ImageNet."),
        ConfigOption("augmix", "AugMix"),
    ),
)
CLASSIFICATION_AUGMENTATION = (
    AUTO_AUGMENT,
    *_colour(Condition(AUTO_AUGMENT.name, ("none",))),
    *_FLIPS,
    _AUGMENTATION.number(
        "scale",
        "Crop",
        "How much of an image's area a random crop may leave out: 0.5 keeps at least half.",
        0.95,
        step=0.05,
    ),
    _AUGMENTATION.number("erasing", "Random erasing", "Probability of erasing a rectangle.", 1.0, step=0.1),
)
