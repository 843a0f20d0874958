"""Fields of what a training makes small, by task."""

from __future__ import annotations

from trainer_yolo.fields.arguments import Group

_LOSS = Group("loss", "Loss")
_MASKS = Group("mask", "Masks")

DETECTION_LOSS = (
    _LOSS.number("box", "Box gain", "Weight of where boxes, and masks, lie.", 1000.0, step=0.5),
    _LOSS.number("cls", "Class gain", "Weight of which class an object has.", 1000.0, step=0.1),
    _LOSS.number("dfl", "Edge gain", "Weight of the exact place of a box's edges.", 1000.0, step=0.1),
    _LOSS.number(
        "cls_pw",
        "Class balance",
        "Makes rare classes count more: 0 all alike, 1 inversely to how often they are annotated.",
        1.0,
        step=0.1,
        advanced=True,
    ),
)
ORIENTED_LOSS = (_LOSS.number("angle", "Angle gain", "Weight of how boxes are rotated.", 1000.0, step=0.1),)
POSE_LOSS = (
    _LOSS.number("pose", "Pose gain", "Weight of where keypoints lie.", 1000.0, step=0.5),
    _LOSS.number("kobj", "Keypoint gain", "Weight of whether keypoints can be seen.", 1000.0, step=0.1),
    _LOSS.number(
        "rle",
        "Likelihood gain",
        "Weight of the residual likelihood of keypoints; YOLO26 alone has it.",
        1000.0,
        step=0.1,
    ),
)
MASKS = (
    _MASKS.switch(
        "overlap_mask", "One mask an image", "Learns from one mask an image, in which smaller objects hide larger ones."
    ),
    _MASKS.integer(
        "mask_ratio",
        "Mask reduction",
        "How many times smaller than the image masks are to learn from.",
        16,
        minimum=1,
        advanced=True,
    ),
)
