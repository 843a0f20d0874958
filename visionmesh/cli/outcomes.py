"""What became of the objects of a validation image, counted."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from visionmesh.v1 import training_pb2


class Outcomes(NamedTuple):
    """Objects that were found, missed, taken for another class, and found where nothing is."""

    hits: int
    missed: int
    wrong_class: int
    false_alarms: int


def count_outcomes(image: training_pb2.ValidationImage) -> Outcomes:
    """Count the objects of an image by what became of them."""
    counts = Counter(item.outcome for item in image.objects)
    return Outcomes(
        hits=counts[training_pb2.OBJECT_OUTCOME_HIT],
        missed=counts[training_pb2.OBJECT_OUTCOME_MISS],
        wrong_class=counts[training_pb2.OBJECT_OUTCOME_WRONG_CLASS],
        false_alarms=counts[training_pb2.OBJECT_OUTCOME_FALSE_ALARM],
    )
