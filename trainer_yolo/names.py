"""Names that the mesh knows this trainer by, and what ultralytics calls the same."""

FRAMEWORK = "yolo"

# As in the public contract's TaskType, without its prefix.
CLASSIFICATION = "IMAGE_CLASSIFICATION"
DETECTION = "OBJECT_DETECTION"
SEGMENTATION = "INSTANCE_SEGMENTATION"
POSE = "POSE_ESTIMATION"
ORIENTED = "ORIENTED_DETECTION"
TASKS = (DETECTION, SEGMENTATION, POSE, ORIENTED, CLASSIFICATION)

# What ultralytics calls a task.
ULTRALYTICS_TASKS = {
    DETECTION: "detect",
    SEGMENTATION: "segment",
    POSE: "pose",
    ORIENTED: "obb",
    CLASSIFICATION: "classify",
}

# Metrics of a task by which a checkpoint can be the best; the first is the default. ``results`` says what they are.
_DETECTION_METRICS = {
    "mAP50-95": "max",
    "mAP50": "max",
    "f1": "max",
    "precision": "max",
    "recall": "max",
    "val_loss": "min",
}
# Of a mask or a pose; its box is measured as well.
_WITH_BOX_METRICS = {**_DETECTION_METRICS, "box_mAP50-95": "max", "box_mAP50": "max"}
PRIMARY_METRICS = {
    DETECTION: _DETECTION_METRICS,
    SEGMENTATION: _WITH_BOX_METRICS,
    POSE: _WITH_BOX_METRICS,
    ORIENTED: _DETECTION_METRICS,
    CLASSIFICATION: {
        "accuracy": "max",
        "balanced_accuracy": "max",
        "f1": "max",
        "precision": "max",
        "recall": "max",
        "top5_accuracy": "max",
        "val_loss": "min",
    },
}

# ultralytics refuses larger ones.
LARGEST_LEARNING_RATE = 1.0
