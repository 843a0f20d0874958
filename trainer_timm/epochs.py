"""One epoch of updates."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from timm.scheduler.scheduler import Scheduler
from torch.utils.data import DataLoader

from trainer.adapter import TrainingDiverged, TrainingReporter
from trainer_timm.images import Batch

PROGRESS_SECONDS = 0.5


@dataclass
class Learner:
    """What updates change. ``updates`` counts those done since the training began; ``clip_norm`` 0 is off."""

    model: torch.nn.Module
    loss: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: Scheduler
    device: torch.device
    clip_norm: float
    updates: int = 0

    def update(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """Make one update and return the loss before it. Raises TrainingDiverged when it is not finite."""
        images = images.to(self.device, non_blocking=True)
        labels = labels.to(self.device, non_blocking=True)
        loss = self.loss(self.model(images), labels)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingDiverged(f"The loss became {value} at update {self.updates + 1}; try a lower learning rate.")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.clip_norm > 0:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.optimizer.step()
        self.updates += 1
        self.scheduler.step_update(self.updates)
        return value

    @property
    def learning_rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])


@dataclass(frozen=True)
class EpochResult:
    """``loss`` is the mean over the epoch's images; ``learning_rate`` that of its last update."""

    loss: float
    learning_rate: float
    samples_per_second: float


def train_epoch(
    learner: Learner, batches: DataLoader[Batch], epoch: int, reporter: TrainingReporter
) -> EpochResult | None:
    """Train on every batch once; return None when asked to stop.

    Progress is reported every ``PROGRESS_SECONDS`` and at the last step.
    """
    learner.model.train()
    began = reported = time.monotonic()
    total_loss, seen, steps, learning_rate = 0.0, 0, len(batches), learner.learning_rate
    for step, (images, labels) in enumerate(batches, start=1):
        if reporter.should_stop():
            return None
        learning_rate = learner.learning_rate
        loss = learner.update(images, labels)
        total_loss += loss * len(labels)
        seen += len(labels)
        now = time.monotonic()
        if now - reported >= PROGRESS_SECONDS or step == steps:
            reporter.progress(epoch, step, steps, total_loss / seen, seen / max(now - began, 1e-9))
            reported = now
    return EpochResult(total_loss / seen, learning_rate, seen / max(time.monotonic() - began, 1e-9))
