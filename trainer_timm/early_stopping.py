"""Ending a training that no longer gets better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.adapter import TrainingSpec
from trainer.config_values import integer, number, switch, text
from trainer_timm.names import PRIMARY_METRICS


class EarlyStopping:
    """Watches the metric of ``early_stopping.*`` from epoch to epoch."""

    def __init__(self, spec: TrainingSpec) -> None:
        config = spec.config
        chosen = text(config, "early_stopping.metric")
        self._enabled = switch(config, "early_stopping.enabled")
        self.metric = spec.primary_metric if chosen == "primary" else chosen
        mode = spec.primary_metric_mode if chosen == "primary" else PRIMARY_METRICS[chosen]
        self._sign = 1.0 if mode == "max" else -1.0
        self._patience = integer(config, "early_stopping.patience")
        self._min_change = number(config, "early_stopping.min_change")
        self._best: float | None = None
        self._best_epoch = 0
        self._epoch = 0

    def watch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Take the metrics of an epoch."""
        self._epoch = epoch
        value = metrics[self.metric]
        if self._best is None or self._sign * (value - self._best) > self._min_change:
            self._best, self._best_epoch = value, epoch

    @property
    def reason(self) -> str | None:
        """Return why the training should end, or None while it should go on."""
        if not self._enabled or self._epoch - self._best_epoch < self._patience:
            return None
        return (
            f"Stopped early after epoch {self._epoch}: {self.metric} has not become better than {self._best:.6g}, that "
            f"of epoch {self._best_epoch}, by more than {self._min_change:g} for {self._patience} epochs."
        )

    def state(self) -> dict[str, Any]:
        """Return what it remembers, as JSON."""
        return {"best": self._best, "best_epoch": self._best_epoch}

    def restore(self, state: Mapping[str, Any], epoch: int) -> None:
        """Go on from what ``state`` returned after ``epoch``."""
        self._best, self._best_epoch, self._epoch = state["best"], state["best_epoch"], epoch
