"""Optimiser and learning rate schedule, from timm's factories."""

from __future__ import annotations

from typing import Any

import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.scheduler.scheduler import Scheduler

from trainer.adapter import TrainingSpec

# Warm-up starts at this fraction of the learning rate, so that it rises whatever the rate is.
WARMUP_START_FRACTION = 0.01


def create_optimizer(model: torch.nn.Module, spec: TrainingSpec) -> torch.optim.Optimizer:
    """Create the optimiser of ``optimizer.*``; biases and norms are not decayed, as timm does."""
    name = str(spec.config["optimizer.type"])
    arguments: dict[str, Any] = {}
    if name == "sgd":
        momentum = float(spec.config["optimizer.momentum"])  # type: ignore[arg-type]
        # torch refuses Nesterov without momentum.
        arguments = {"momentum": momentum, "nesterov": momentum > 0}
    return create_optimizer_v2(
        model,
        opt=name,
        lr=spec.learning_rate,
        weight_decay=float(spec.config["optimizer.weight_decay"]),  # type: ignore[arg-type]
        **arguments,
    )


def create_scheduler(optimizer: torch.optim.Optimizer, spec: TrainingSpec, steps_per_epoch: int) -> Scheduler:
    """Create the schedule of ``scheduler.*``; call ``step_update(updates done)`` after every update."""
    kind = str(spec.config["scheduler.type"])
    scheduler, _ = create_scheduler_v2(
        optimizer,
        # timm's "none" has no warm-up, "constant" does.
        sched="constant" if kind == "none" else kind,
        num_epochs=spec.epochs,
        decay_epochs=float(spec.config["scheduler.decay_epochs"]),  # type: ignore[arg-type]
        decay_rate=float(spec.config["scheduler.decay_rate"]),  # type: ignore[arg-type]
        min_lr=min(float(spec.config["scheduler.min_lr"]), spec.learning_rate),  # type: ignore[arg-type]
        warmup_lr=spec.learning_rate * WARMUP_START_FRACTION,
        warmup_epochs=spec.config["scheduler.warmup_epochs"],
        step_on_epochs=False,
        updates_per_epoch=steps_per_epoch,
    )
    return scheduler
