"""Names that the mesh knows this trainer by."""

FRAMEWORK = "timm"

# As in the public contract's TaskType, without its prefix.
CLASSIFICATION = "IMAGE_CLASSIFICATION"

# Metrics of every classification, however many classes it has; the first is the default of what is best.
PRIMARY_METRICS = {"accuracy": "max", "f1": "max", "precision": "max", "recall": "max", "val_loss": "min"}
