"""What a model said of single validation images, from the store to the protos."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.enums import OBJECT_OUTCOMES
from storage.objects.object_images import Box, ObjectImage, ObjectMatch
from storage.objects.validation_images import ValidationImage
from visionmesh.v1 import inference_pb2, training_pb2


def image_message(image: ValidationImage | ObjectImage, class_names: Sequence[str]) -> training_pb2.ValidationImage:
    """What a model said of one image as clients see it."""
    if isinstance(image, ObjectImage):
        return training_pb2.ValidationImage(
            path=image.path,
            correct=image.correct,
            loss=image.loss,
            objects=[_match_message(item, class_names) for item in image.objects],
            width=image.width,
            height=image.height,
        )
    return training_pb2.ValidationImage(
        path=image.path,
        label=class_names[image.label_id],
        predictions=[
            training_pb2.LabelScore(label=class_names[label_id], label_id=label_id, confidence=confidence)
            for label_id, confidence in image.predictions
        ],
        correct=image.correct,
        loss=image.loss,
    )


def _match_message(item: ObjectMatch, class_names: Sequence[str]) -> training_pb2.ObjectMatch:
    return training_pb2.ObjectMatch(
        outcome=OBJECT_OUTCOMES.number(item.outcome),  # type: ignore[arg-type]
        label="" if item.label_id is None else class_names[item.label_id],
        predicted_label="" if item.predicted_id is None else class_names[item.predicted_id],
        confidence=item.confidence,
        iou=item.iou,
        truth_box=_box_message(item.truth_box),
        predicted_box=_box_message(item.predicted_box),
        truth_corners=_corner_messages(item.truth_box),
        predicted_corners=_corner_messages(item.predicted_box),
    )


def _box_message(box: Box | None) -> inference_pb2.Box | None:
    if box is None:
        return None
    across, down = box[0::2], box[1::2]
    return inference_pb2.Box(x_min=min(across), y_min=min(down), x_max=max(across), y_max=max(down))


def _corner_messages(box: Box | None) -> list[inference_pb2.Point]:
    if box is None or len(box) == 4:
        return []
    return [inference_pb2.Point(x=x, y=y) for x, y in zip(box[0::2], box[1::2], strict=True)]
