"""Metrics of a job as series over its epochs: what the curves show, in the terminal and in a picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from visionmesh.v1 import event_pb2, training_pb2

# Metrics that are losses: another panel than the primary metric's shows them.
LOSSES = ("loss", "val_loss")
# Curves of more than this are nobody's, and no arithmetic on it overflows.
LARGEST_VALUE = 1e100
_LABELS = {"loss": "training loss", "val_loss": "validation loss"}


@dataclass(frozen=True)
class Series:
    """Values of one metric by epoch; epochs without a value are left out."""

    name: str
    label: str
    values: Mapping[int, float]


@dataclass(frozen=True)
class Best:
    """The best epoch by a metric."""

    epoch: int
    metric: str
    value: float


class Metrics:
    """Metrics of a job by epoch. What an epoch is told anew replaces what was told of it before."""

    def __init__(self, job: training_pb2.TrainingJob, points: Iterable[event_pb2.MetricPoint] = ()) -> None:
        self.primary = job.primary_metric
        self.smaller_is_better = job.primary_metric_mode == training_pb2.METRIC_MODE_MIN
        self._points: dict[int, event_pb2.MetricPoint] = {}
        for point in points:
            self.add(point)

    def add(self, point: event_pb2.MetricPoint) -> None:
        """Take the metrics of an epoch."""
        self._points[point.epoch] = point

    def roll_back(self, to_epoch: int) -> None:
        """Forget later epochs: they are told anew."""
        self._points = {epoch: point for epoch, point in self._points.items() if epoch <= to_epoch}

    @property
    def points(self) -> list[event_pb2.MetricPoint]:
        """By epoch."""
        return [self._points[epoch] for epoch in sorted(self._points)]

    def series(self, name: str) -> Series:
        """One metric; ``loss``, ``accuracy``, ``learning_rate`` or the name of another."""
        values = {point.epoch: value for point in self.points if (value := value_of(point, name)) is not None}
        return Series(name, _LABELS.get(name, name.replace("_", " ")), values)

    def losses(self) -> list[Series]:
        """Losses of training and validation, as far as there are any."""
        return [series for name in LOSSES if (series := self.series(name)).values]

    def judged(self) -> Series:
        """What the job is judged by: its primary metric, or where that is a loss its accuracy."""
        return self.series("accuracy" if self.primary in ("", *LOSSES) else self.primary)

    def learning_rate(self) -> Series:
        """The learning rate at the end of each epoch."""
        return self.series("learning_rate")

    def best(self) -> Best | None:
        """The epoch with the best primary metric, of several the first; None before there is one."""
        values = self.series(self.primary).values
        if not values:
            return None
        sign = -1 if self.smaller_is_better else 1
        epoch = max(values, key=lambda epoch: (sign * values[epoch], -epoch))
        return Best(epoch, self.primary, values[epoch])


def value_of(point: event_pb2.MetricPoint, name: str) -> float | None:
    """A metric of an epoch by its name; None where it is missing, not finite, or too large to be drawn."""
    if name in ("loss", "accuracy", "learning_rate"):
        value = getattr(point, name) if point.HasField(name) else None
    else:
        value = point.extra_metrics.get(name)
    return float(value) if value is not None and abs(value) <= LARGEST_VALUE else None


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers from ``low`` to ``high``, at most so many: 1, 2 or 5 times a power of ten apart."""
    if not low < high or most < 1:
        return [low]
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(step * factor for factor in (1, 2, 5, 10, 20) if (high - low) / (step * factor) <= most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)][:most]
