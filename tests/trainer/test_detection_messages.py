"""Objects of a prediction on the wire."""

from __future__ import annotations

from annotations.model import Box, RunLengthMask
from trainer.adapter import DetectedKeypoint, DetectedRotatedBox, Detection, Prediction
from trainer.converters import predict_response
from trainer.predictors import Answer


def test_every_part_of_an_object_is_answered() -> None:
    found = Detection(
        "cat",
        3,
        0.75,
        Box(1, 2, 30, 40),
        polygons=((1, 2, 30, 2, 30, 40),),
        mask=RunLengthMask(2, 2, (1, 3)),
        keypoints=(DetectedKeypoint(5, 6, 0.5),),
        rotated_box=DetectedRotatedBox(15, 20, 10, 4, 0.5, (1, 2, 3, 4, 5, 6, 7, 8)),
    )
    answer = Answer("INSTANCE_SEGMENTATION", "yolo11n-seg", Prediction(detections=(found,)), 64, 48, 0.01)

    [sent] = predict_response(answer).prediction.detections

    assert (sent.label, sent.label_id, sent.confidence) == ("cat", 3, 0.75)
    assert (sent.box.x_min, sent.box.y_min, sent.box.x_max, sent.box.y_max) == (1, 2, 30, 40)
    assert [(point.x, point.y) for point in sent.mask[0].points] == [(1, 2), (30, 2), (30, 40)]
    assert (sent.mask_rle.height, sent.mask_rle.width, list(sent.mask_rle.counts)) == (2, 2, [1, 3])
    assert [(key.point.x, key.point.y, key.confidence) for key in sent.keypoints] == [(5, 6, 0.5)]
    rotated = sent.rotated_box
    assert (rotated.center.x, rotated.center.y, rotated.width, rotated.height, rotated.angle) == (15, 20, 10, 4, 0.5)
    assert [(corner.x, corner.y) for corner in rotated.corners] == [(1, 2), (3, 4), (5, 6), (7, 8)]
