"""Names that the mesh knows this trainer by."""

FRAMEWORK = "timm"

# As in the public contract's TaskType, without its prefix.
CLASSIFICATION = "IMAGE_CLASSIFICATION"

# Metrics of every classification, however many classes it has; the first is the default of what is best.
# ``evaluation.metric_names`` says what they are.
PRIMARY_METRICS = {
    "accuracy": "max",
    "balanced_accuracy": "max",
    "calibration_error": "min",
    "f1": "max",
    "precision": "max",
    "recall": "max",
    "top5_accuracy": "max",
    "val_loss": "min",
}
