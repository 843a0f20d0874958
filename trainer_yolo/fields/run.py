"""Fields of how a training runs: what learns, when it ends, what it keeps, how it computes."""

from __future__ import annotations

from trainer.adapter import ConfigField, FieldType
from trainer_yolo.fields.arguments import Group

_LEARNING = Group("learning", "What learns")
_VALIDATION = Group("validation", "Validation")
_COMPUTATION = Group("computation", "Computation")

FREEZE = _LEARNING.integer(
    "freeze",
    "Frozen layers",
    "First layers that stay as they are: 10 or 11 are the backbone of most models. Only with weights to start from.",
    200,
    default=0,
    advanced=True,
)
SINGLE_CLASS = _LEARNING.switch(
    "single_cls", "One class", "Takes all objects for one class, named item: finds things without telling them apart."
)
RECTANGLES = _LEARNING.switch(
    "rect",
    "Rectangular batches",
    "Batches of images of a like shape with less padding, in a fixed order and without mosaic, mixup and CutMix.",
)
DROPOUT = _LEARNING.number("dropout", "Dropout", "Share of the classifier's inputs that are dropped.", 0.95, step=0.1)

INTERVAL = ConfigField(
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
)
RUN = (
    Group("early_stopping", "Early stopping").integer(
        "patience",
        "Patience",
        "Epochs without a better primary metric after which the training ends; 0: it never ends early.",
        10_000,
    ),
    INTERVAL,
    _COMPUTATION.switch(
        "amp",
        "Mixed precision",
        "Computes in bfloat16 where that loses nothing: faster, and with less memory, on a GPU. "
        "A CPU ignores it, and the job's log says so.",
        default=False,
        advanced=False,
    ),
    _COMPUTATION.switch(
        "deterministic",
        "Deterministic",
        "Computes so that the same training gives the same weights; off: faster on a GPU.",
    ),
    _COMPUTATION.integer(
        "workers",
        "Loading workers",
        "Processes that read and augment images; 0: the training itself, -1: the trainer decides.",
        64,
        minimum=-1,
        default=-1,
        advanced=True,
    ),
)
DETECTION_VALIDATION = (
    _VALIDATION.number(
        "iou",
        "Overlap that is one object",
        "Of boxes of a class that overlap more (IoU), validation keeps the most confident.",
        1.0,
        minimum=0.0,
        step=0.05,
        advanced=True,
    ),
    _VALIDATION.integer(
        "max_det",
        "Detections an image",
        "Most detections that validation keeps of an image; the default rises to what the dataset needs.",
        10_000,
        minimum=1,
        advanced=True,
    ),
)
