"""Names that the mesh knows this trainer by."""

FRAMEWORK = "timm"

# As in the public contract's TaskType, without its prefix.
CLASSIFICATION = "IMAGE_CLASSIFICATION"
