"""One epoch of updates."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from timm.scheduler.scheduler import Scheduler
from torch.utils.data import DataLoader

from trainer.adapter import BadTrainingData, TrainingDiverged, TrainingReporter
from trainer_timm.loading import Batch, read_batches

PROGRESS_SECONDS = 0.5


@dataclass
class Learner:
    """What updates change.

    ``clip_norm`` 0 does not clip; ``mixed_precision`` computes in bfloat16 what loses nothing by it, with weights
    and updates in float32; ``updates`` counts those done since the training began.
    """

    model: torch.nn.Module
    loss: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: Scheduler
    device: torch.device
    clip_norm: float = 0.0
    mixed_precision: bool = False
    updates: int = 0

    def update(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """Make one update and return the loss before it.

        Raises TrainingDiverged when it is not finite, and BadTrainingData when the batch is too small for the model.
        """
        images = images.to(self.device, non_blocking=True)
        labels = labels.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.mixed_precision):
            loss = self.loss(self._logits(images), labels)
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

    def end_epoch(self, epoch: int) -> None:
        """Tell the schedule that ``epoch`` epochs are done."""
        self.scheduler.step(epoch)

    def resume(self, epoch: int, updates: int) -> None:
        """Set counters and schedule to where a training stood after ``epoch`` epochs."""
        self.updates = updates
        self.scheduler.step_update(updates)
        self.scheduler.step(epoch)

    def _logits(self, images: torch.Tensor) -> torch.Tensor:
        try:
            logits: torch.Tensor = self.model(images)
        except ValueError as error:  # batch normalisation of one value per channel
            raise BadTrainingData(
                f"The model cannot train on a batch of {len(images)}; use a larger batch_size or image_size: {error}"
            ) from error
        return logits

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
    for step, (images, labels) in enumerate(read_batches(batches), start=1):
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
    learner.end_epoch(epoch)
    return EpochResult(total_loss / seen, learning_rate, seen / max(time.monotonic() - began, 1e-9))
