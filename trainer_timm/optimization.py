"""Optimiser and learning rate schedule, from timm's factories."""

from __future__ import annotations

from typing import Any

import torch
from timm.optim import create_optimizer_v2  # type: ignore[attr-defined]  # its public name, not re-exported by `as`
from timm.scheduler.scheduler import Scheduler
from timm.scheduler.scheduler_factory import create_scheduler_v2

from trainer.adapter import TrainingSpec
from trainer_timm.settings import integer, number, text

# Warm-up starts at this fraction of the learning rate, so that it rises whatever the rate is.
WARMUP_START_FRACTION = 0.01


def create_optimizer(model: torch.nn.Module, spec: TrainingSpec) -> torch.optim.Optimizer:
    """Create the optimiser of ``optimizer.*``; biases and norms are not decayed, as timm does."""
    name = text(spec.config, "optimizer.type")
    arguments: dict[str, Any] = {}
    if name == "sgd":
        momentum = number(spec.config, "optimizer.momentum")
        # torch refuses Nesterov without momentum.
        arguments = {"momentum": momentum, "nesterov": momentum > 0}
    optimizer: torch.optim.Optimizer = create_optimizer_v2(
        model,
        opt=name,
        lr=spec.learning_rate,
        weight_decay=number(spec.config, "optimizer.weight_decay"),
        **arguments,
    )
    return optimizer


def create_scheduler(optimizer: torch.optim.Optimizer, spec: TrainingSpec, steps_per_epoch: int) -> Scheduler:
    """Create the schedule of ``scheduler.*``, a function of time alone.

    Call ``step_update(updates done)`` after every update and ``step(epochs done)`` after every epoch: the schedule
    heeds the one that ``scheduler.interval`` names.
    """
    kind = text(spec.config, "scheduler.type")
    scheduler, _ = create_scheduler_v2(
        optimizer,
        # timm's "none" has no warm-up, "constant" does.
        sched="constant" if kind == "none" else kind,
        num_epochs=spec.epochs,
        decay_epochs=number(spec.config, "scheduler.decay_epochs"),
        decay_rate=number(spec.config, "scheduler.decay_rate"),
        min_lr=min(number(spec.config, "scheduler.min_lr"), spec.learning_rate),
        warmup_lr=spec.learning_rate * WARMUP_START_FRACTION,
        warmup_epochs=integer(spec.config, "scheduler.warmup_epochs"),
        step_on_epochs=text(spec.config, "scheduler.interval") == "epoch",
        updates_per_epoch=steps_per_epoch,
    )
    assert isinstance(scheduler, Scheduler)  # None is timm's answer to "none" only
    return scheduler
