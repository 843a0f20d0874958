"""ultralytics' trainers by task, over labels in memory."""

from __future__ import annotations

from copy import copy
from typing import Any

import torch
from ultralytics.models.rtdetr.train import RTDETRTrainer
from ultralytics.models.yolo.classify import ClassificationTrainer, ClassificationValidator
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.models.yolo.obb import OBBTrainer
from ultralytics.models.yolo.pose import PoseTrainer
from ultralytics.models.yolo.segment import SegmentationTrainer
from ultralytics.utils.torch_utils import unwrap_model

from trainer_yolo.datasets import ClassifiedImages, LabelledImages, StretchedImages
from trainer_yolo.matching import CONFIDENCE, IOU, image_row
from trainer_yolo.models import largest_stride
from trainer_yolo.names import CLASSIFICATION, ORIENTED, POSE, SEGMENTATION
from trainer_yolo.results import Results, classification_results, detection_results
from trainer_yolo.run_trainer import RunTrainer


class ObjectRun(RunTrainer):
    """Everything that finds objects."""

    def get_validator(self) -> Any:
        """A validator that counts which class is taken for which, as ultralytics does for its plots alone, and keeps
        what became of each object."""
        validator = super().get_validator()
        judge = validator._process_batch
        root = self.run.data.root
        self._images: dict[str, Any] = {}  # by path: a validation that is done again takes the place of the one before

        def count(found: Any, truth: Any) -> Any:
            validator.confusion_matrix.process_batch(found, truth, conf=CONFIDENCE, iou_thres=IOU)
            row = image_row(root, found, truth)
            self._images[row["path"]] = row
            return judge(found, truth)

        validator._process_batch = count
        return validator

    def collect(self) -> Results:
        """What the validator has just found."""
        images = list(self._images.values())
        self._images.clear()
        return detection_results(self.validator, self.run.data.class_names, images)


class _BoxRun(ObjectRun):
    """All of these but RT-DETR."""

    def build_dataset(self, img_path: Any, mode: str = "train", batch: int | None = None) -> LabelledImages:
        """The images of a split with their labels."""
        training = mode == "train"
        return LabelledImages(
            img_path=img_path,
            imgsz=self.args.imgsz,
            batch_size=batch,
            augment=training,
            hyp=self.args,
            rect=self.args.rect or not training,
            single_cls=self.args.single_cls,
            stride=largest_stride(unwrap_model(self.model)),
            pad=0.0 if training else 0.5,
            task=self.args.task,
            data=self.data,
        )


class DetectionRun(_BoxRun, DetectionTrainer):
    """Boxes."""


class SegmentationRun(_BoxRun, SegmentationTrainer):
    """Boxes and masks."""


class PoseRun(_BoxRun, PoseTrainer):
    """Boxes and keypoints."""


class OrientedRun(_BoxRun, OBBTrainer):
    """Rotated boxes."""


class TransformerRun(ObjectRun, RTDETRTrainer):
    """Boxes found by RT-DETR."""

    def build_dataset(self, img_path: Any, mode: str = "train", batch: int | None = None) -> StretchedImages:
        """The images of a split with their labels, stretched to squares."""
        return StretchedImages(
            img_path=img_path,
            imgsz=self.args.imgsz,
            batch_size=batch,
            augment=mode == "train",
            hyp=self.args,
            rect=False,
            single_cls=self.args.single_cls,
            data=self.data,
        )


class ClassificationRun(RunTrainer, ClassificationTrainer):
    """One label an image."""

    def setup_model(self) -> None:
        """Build the model, with the job's dropout."""
        super().setup_model()
        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = self.args.dropout
        for parameter in self.model.parameters():
            parameter.requires_grad = True

    def build_dataset(self, img_path: Any, mode: str = "train", batch: int | None = None) -> ClassifiedImages:
        """The images of a split with their label."""
        return ClassifiedImages(self.run.data.root, img_path, self.args, augment=mode == "train")

    def get_validator(self) -> Any:
        """A validator that remembers what the model said."""
        return _RememberingValidator(self.test_loader, self.save_dir, args=copy(self.args), _callbacks=self.callbacks)

    def collect(self) -> Results:
        """What the validator has just found."""
        data = self.run.data
        logits, labels = self.validator.said()
        return classification_results(logits, labels, data.val, data.class_names)


class _RememberingValidator(ClassificationValidator):
    """Keeps logits and labels of all images, in their order."""

    def init_metrics(self, model: Any) -> None:
        super().init_metrics(model)
        self._logits: list[torch.Tensor] = []
        self._labels: list[torch.Tensor] = []

    def postprocess(self, preds: Any) -> Any:
        self._logits.append(preds[1].float().cpu())
        return super().postprocess(preds)

    def update_metrics(self, preds: Any, batch: Any) -> None:
        self._labels.append(batch["cls"].long().cpu())
        super().update_metrics(preds, batch)

    def said(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (N, C) and labels (N,)."""
        return torch.cat(self._logits), torch.cat(self._labels)


def trainer_class(task_type: str, *, is_rtdetr: bool) -> type[RunTrainer]:
    """The trainer of a task."""
    if is_rtdetr:
        return TransformerRun
    return {
        CLASSIFICATION: ClassificationRun,
        ORIENTED: OrientedRun,
        POSE: PoseRun,
        SEGMENTATION: SegmentationRun,
    }.get(task_type, DetectionRun)
