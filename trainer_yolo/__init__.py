"""The YOLO trainer: detection, segmentation, pose, oriented detection and classification with ultralytics' models."""

from trainer_yolo.environment import prepare

# Before any module of this package can import ultralytics.
prepare()
