"""From the probabilities of classes to what a prediction answers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import torch

from trainer.adapter import Classification, Prediction, PredictOptions


def most_probable(probabilities: torch.Tensor, class_names: Sequence[str], options: PredictOptions) -> Prediction:
    """The ``top_k`` most probable classes that may be answered and reach the threshold, most confident first.

    ``probabilities`` is float32, (number of classes).
    """
    # With labels to choose from, the most probable of those are wanted, however many others come before.
    count = options.top_k if options.labels is None else len(class_names)
    values, label_ids = probabilities.topk(max(0, min(count, len(class_names))))
    found = (
        Classification(class_names[label_id], label_id, confidence)
        for confidence, label_id in zip(values.tolist(), label_ids.tolist(), strict=True)
        if confidence >= options.confidence_threshold and options.allows(class_names[label_id])
    )
    return Prediction(classifications=tuple(islice(found, options.top_k)))
