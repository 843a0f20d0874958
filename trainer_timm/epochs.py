"""One epoch of updates."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from timm.models import model_parameters
from timm.scheduler.scheduler import Scheduler
from timm.utils.clip_grad import dispatch_clip_grad
from timm.utils.model_ema import ModelEmaV3
from torch.utils.data import DataLoader

from trainer.adapter import BadTrainingData, TrainingDiverged, TrainingReporter
from trainer_timm.freezing import set_training_mode
from trainer_timm.loading import Batch, read_batches
from trainer_timm.mixing import Mixing

PROGRESS_SECONDS = 0.5


@dataclass
class Learner:
    """What updates change.

    ``average`` is the moving average of the weights, where there is one; ``clip_mode`` is none, norm, value or agc;
    ``accumulation`` batches make one update; in the first ``frozen_epochs`` only the classifier learns;
    ``mixed_precision`` computes in bfloat16 what loses nothing by it, with weights and updates in float32 (its range
    is that of float32, so that no loss needs scaling); ``updates`` counts those done since the training began.
    """

    model: torch.nn.Module
    loss: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: Scheduler
    device: torch.device
    average: ModelEmaV3 | None = None
    mixing: Mixing | None = None
    clip_mode: str = "none"
    clip_value: float = 1.0
    accumulation: int = 1
    frozen_epochs: int = 0
    channels_last: bool = False
    mixed_precision: bool = False
    updates: int = 0

    @property
    def published_model(self) -> torch.nn.Module:
        """The model that is validated and published: the average where there is one."""
        return self.model if self.average is None else self.average.module

    def begin_epoch(self, epoch: int) -> None:
        """Make ready for ``epoch``, counted from 1."""
        set_training_mode(self.model, backbone_frozen=epoch <= self.frozen_epochs)
        if self.mixing is not None:
            self.mixing.begin_epoch(epoch)

    def learn(self, images: torch.Tensor, labels: torch.Tensor, step: int, steps: int) -> float:
        """Learn from batch ``step`` of ``steps`` and return its loss; every ``accumulation`` batches make an update.

        Raises TrainingDiverged when it is not finite, and BadTrainingData when the batch is too small for the model.
        """
        images = images.to(self.device, non_blocking=True)
        targets = labels.to(self.device, non_blocking=True)
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        if self.mixing is not None:
            images, targets = self.mixing(images, targets)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.mixed_precision):
            logits = self._logits(images)
        loss = self.loss(logits.float(), targets)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingDiverged(f"The loss became {value} at update {self.updates + 1}; try a lower learning rate.")
        begun = (step - 1) // self.accumulation * self.accumulation
        (loss / min(self.accumulation, steps - begun)).backward()
        if step - begun == self.accumulation or step == steps:
            self._update()
        return value

    def _update(self) -> None:
        if self.clip_mode != "none":
            # As timm's own training does: adaptive clipping leaves the classifier alone.
            parameters = model_parameters(self.model, exclude_head=self.clip_mode == "agc")
            dispatch_clip_grad(parameters, self.clip_value, self.clip_mode)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.updates += 1
        if self.average is not None:
            self.average.update(self.model, step=self.updates)
        self.scheduler.step_update(self.updates)

    def end_epoch(self, epoch: int, metric: float) -> None:
        """Tell the schedule that ``epoch`` epochs are done, and the primary metric of the last."""
        self.scheduler.step(epoch, metric)

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
        """The learning rate of the last layer; with layer decay those below have lower ones."""
        return max(float(group["lr"]) for group in self.optimizer.param_groups)


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

    Progress is reported at the first step, every ``PROGRESS_SECONDS`` and at the last step.
    """
    learner.begin_epoch(epoch)
    began, reported = time.monotonic(), -math.inf
    total_loss, seen, steps, learning_rate = 0.0, 0, len(batches), learner.learning_rate
    for step, (images, labels) in enumerate(read_batches(batches), start=1):
        if reporter.should_stop():
            return None
        learning_rate = learner.learning_rate
        loss = learner.learn(images, labels, step, steps)
        total_loss += loss * len(labels)
        seen += len(labels)
        now = time.monotonic()
        if now - reported >= PROGRESS_SECONDS or step == steps:
            reporter.progress(epoch, step, steps, total_loss / seen, seen / max(now - began, 1e-9))
            reported = now
    return EpochResult(total_loss / seen, learning_rate, seen / max(time.monotonic() - began, 1e-9))
