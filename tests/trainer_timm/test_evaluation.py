"""The figures of a validation, against the same computed by others."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics
from torch.utils.data import DataLoader, TensorDataset

from trainer.adapter import Sample, TrainingDiverged
from trainer_timm.evaluation import CALIBRATION_BINS, Evaluation, evaluate, metric_names
from trainer_timm.names import PRIMARY_METRICS


def measure(logits: torch.Tensor, labels: torch.Tensor, batch_size: int) -> Evaluation:
    """What is measured of a model that says exactly ``logits``."""
    batches = DataLoader(TensorDataset(logits, labels), batch_size=batch_size)
    names = [f"class {number}" for number in range(logits.shape[1])]
    found = evaluate(torch.nn.Identity(), batches, names, torch.device("cpu"), lambda: False)  # type: ignore[arg-type]
    assert found is not None
    return found


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """By its definition: over bins of equal width, the share of images times |accuracy - confidence|."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    error = 0.0
    for lower in np.arange(CALIBRATION_BINS) / CALIBRATION_BINS:
        inside = (confidence > lower) & (confidence <= lower + 1 / CALIBRATION_BINS)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return error


@pytest.mark.parametrize(
    ("images", "classes", "batch_size", "absent"),
    [
        (37, 2, 8, ()),  # the last batch is smaller
        (23, 3, 5, ()),
        (1, 3, 4, (0, 1)),  # one image
        (40, 5, 40, (4,)),
        (101, 7, 100, ()),  # the last batch is a single image
        (60, 12, 7, (0, 5, 11)),  # classes without an image
        (300, 130, 64, tuple(range(90, 130))),
    ],
)
def test_every_figure_is_that_of_the_whole_split(
    images: int, classes: int, batch_size: int, absent: tuple[int, ...]
) -> None:
    generator = torch.Generator().manual_seed(images)
    present = [number for number in range(classes) if number not in absent]
    labels = torch.tensor(present)[torch.randint(len(present), (images,), generator=generator)]
    logits = 2 * torch.randn(images, classes, generator=generator)
    logits[torch.arange(images), labels] += 1.5
    found = measure(logits, labels, batch_size)

    truth, everyone = labels.numpy(), list(range(classes))
    probabilities = torch.softmax(logits.double(), dim=1).numpy()
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1, _ = sklearn_metrics.precision_recall_fscore_support(
        truth, predicted, average="macro", zero_division=0
    )
    order = np.argsort(-probabilities, axis=1)
    expected = {
        "val_loss": -np.log(probabilities[np.arange(images), truth]).mean(),
        "accuracy": (predicted == truth).mean(),
        "top5_accuracy": (order[:, :5] == truth[:, None]).any(axis=1).mean(),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "balanced_accuracy": np.mean([(predicted[truth == each] == each).mean() for each in np.unique(truth)]),
        "calibration_error": expected_calibration_error(probabilities, truth),
    }
    assert found.metrics == {name: pytest.approx(value, abs=1e-6) for name, value in expected.items()}
    assert set(found.metrics) == metric_names() == set(PRIMARY_METRICS)

    matrix = sklearn_metrics.confusion_matrix(truth, predicted, labels=everyone)
    assert found.confusion_matrix == matrix.tolist()
    by_class = sklearn_metrics.precision_recall_fscore_support(truth, predicted, labels=everyone, zero_division=0)
    for number, name in enumerate(("precision", "recall", "f1", "support")):
        assert [row[name] for row in found.per_class] == pytest.approx(by_class[number].tolist(), abs=1e-6)

    rows = found.predictions.rows([Sample(f"{place}.png", "val", int(label)) for place, label in enumerate(truth)])
    assert [row["path"] for row in rows] == [f"{place}.png" for place in range(images)]
    assert np.mean([row["loss"] for row in rows]) == pytest.approx(found.metrics["val_loss"], abs=1e-6)
    for place, row in enumerate(rows):
        ids, confidences = zip(*row["predictions"], strict=True)  # type: ignore[misc]
        assert list(ids) == order[place, : min(5, classes)].tolist()
        assert list(confidences) == pytest.approx(probabilities[place, list(ids)].tolist(), abs=1e-6)


def test_logits_that_look_like_probabilities_are_logits() -> None:
    logits = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    found = measure(logits, torch.tensor([0, 1, 1]), 2)
    probabilities = torch.softmax(logits, dim=1).numpy()
    error = expected_calibration_error(probabilities, np.array([0, 1, 1]))
    assert found.metrics["calibration_error"] == pytest.approx(error, abs=1e-6)
    assert found.predictions.confidences[0].tolist() == pytest.approx(probabilities[0].tolist())


def test_of_equally_likely_classes_rows_and_matrix_take_the_same() -> None:
    found = measure(torch.zeros(4, 9), torch.tensor([0, 3, 0, 8]), 3)
    assert found.predictions.classes.tolist() == [[0, 1, 2, 3, 4]] * 4
    assert [row[0] for row in found.confusion_matrix] == [2, 0, 0, 1, 0, 0, 0, 0, 1]
    assert found.metrics["accuracy"] == 0.5


def test_rows_of_other_samples_are_refused() -> None:
    found = measure(torch.zeros(2, 2), torch.tensor([0, 1]), 2)
    with pytest.raises(ValueError, match="not those"):
        found.predictions.rows([Sample("a.png", "val", 1), Sample("b.png", "val", 0)])


def test_a_loss_that_is_no_number_ends_the_training() -> None:
    with pytest.raises(TrainingDiverged, match="nan"):
        measure(torch.tensor([[0.0, 1.0], [float("nan"), 0.0]]), torch.tensor([0, 1]), 1)


def test_a_stop_is_heeded_between_batches() -> None:
    batches = DataLoader(TensorDataset(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64)), batch_size=2)
    answers = iter([False, True])
    assert (
        evaluate(torch.nn.Identity(), batches, ["a", "b"], torch.device("cpu"), lambda: next(answers)) is None  # type: ignore[arg-type]
    )
