"""Optimiser and learning rate schedule, from timm's factories."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from timm.optim import create_optimizer_v2, get_optimizer_info  # type: ignore[attr-defined]  # public, no `as`
from timm.scheduler.plateau_lr import PlateauLRScheduler
from timm.scheduler.scheduler import Scheduler
from timm.scheduler.scheduler_factory import create_scheduler_v2

from trainer.adapter import TrainingSpec
from trainer.config_values import integer, number, numbers, text
from trainer_timm.fields.optimizer import WITH_BETAS, WITH_EPS, WITH_MOMENTUM

# What torch's plateau schedule counts; timm keeps only a part of it in its own state.
_PLATEAU_STATE = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")


def create_optimizer(model: torch.nn.Module, spec: TrainingSpec) -> torch.optim.Optimizer:
    """Create the optimiser of ``optimizer.*``; biases and norms are not decayed, as timm does."""
    config, name = spec.config, text(spec.config, "optimizer.type")
    arguments: dict[str, Any] = {}
    if name in WITH_MOMENTUM:
        arguments["momentum"] = momentum = number(config, "optimizer.momentum")
        if momentum == 0 and (get_optimizer_info(name).defaults or {}).get("nesterov"):
            arguments["nesterov"] = False  # torch refuses Nesterov without momentum
    betas, eps = numbers(config, "optimizer.betas"), number(config, "optimizer.eps")
    if name in WITH_BETAS and betas:
        arguments["betas"] = tuple(betas)
    if name in WITH_EPS and eps > 0:
        arguments["eps"] = eps
    layer_decay = number(config, "optimizer.layer_decay")
    optimizer: torch.optim.Optimizer = create_optimizer_v2(
        model,
        opt=name,
        lr=spec.learning_rate,
        weight_decay=number(config, "optimizer.weight_decay"),
        layer_decay=layer_decay if layer_decay < 1 else None,
        **arguments,
    )
    return optimizer


def create_scheduler(optimizer: torch.optim.Optimizer, spec: TrainingSpec, updates_per_epoch: int) -> Scheduler:
    """Create the schedule of ``scheduler.*``: a function of time alone, but for the plateau.

    Call ``step_update(updates done)`` after every update and ``step(epochs done, primary metric)`` after every epoch:
    the schedule heeds the one that ``scheduler.interval`` names.
    """
    config, kind = spec.config, text(spec.config, "scheduler.type")
    with warnings.catch_warnings():
        # timm would rather have its plateau used no more, since its checkpoints lose its state; ours keep it.
        warnings.simplefilter("ignore", FutureWarning)
        scheduler, _ = create_scheduler_v2(
            optimizer,
            # timm's "none" has no warm-up, "constant" does.
            sched="constant" if kind == "none" else kind,
            num_epochs=_first_cycle(spec) if kind in ("cosine", "poly") else spec.epochs,  # type: ignore[arg-type]
            decay_epochs=number(config, "scheduler.decay_epochs"),
            decay_milestones=_milestones(spec, updates_per_epoch),  # type: ignore[arg-type]  # floats do
            patience_epochs=integer(config, "scheduler.patience"),
            # timm gives the power of its polynomial this name.
            decay_rate=number(config, "scheduler.power" if kind == "poly" else "scheduler.decay_rate"),
            min_lr=min(number(config, "scheduler.min_lr"), spec.learning_rate),
            warmup_lr=spec.learning_rate * number(config, "scheduler.warmup_start"),
            warmup_epochs=integer(config, "scheduler.warmup_epochs"),
            cycle_limit=integer(config, "scheduler.cycles"),
            cycle_mul=number(config, "scheduler.cycle_multiplier"),
            cycle_decay=number(config, "scheduler.cycle_decay"),
            plateau_mode=spec.primary_metric_mode,
            step_on_epochs=kind == "plateau" or text(config, "scheduler.interval") == "epoch",
            updates_per_epoch=updates_per_epoch,
        )
    assert isinstance(scheduler, Scheduler)  # None is timm's answer to "none" only
    return scheduler


def scheduler_state(scheduler: Scheduler) -> dict[str, float]:
    """Return what a schedule remembers, as JSON: nothing, but for the plateau."""
    if not isinstance(scheduler, PlateauLRScheduler):
        return {}
    state = scheduler.lr_scheduler.state_dict()
    # Before the first metric the best is infinite, which JSON has no word for.
    return {name: state[name] for name in _PLATEAU_STATE if math.isfinite(state[name])}


def restore_scheduler(scheduler: Scheduler, state: Mapping[str, float], epoch: int, updates: int) -> None:
    """Set a schedule to where it stood after ``epoch`` epochs and ``updates`` updates; the optimiser is restored."""
    if isinstance(scheduler, PlateauLRScheduler):
        scheduler.lr_scheduler.load_state_dict(dict(state))
        return
    scheduler.step_update(updates)
    scheduler.step(epoch)


def _milestones(spec: TrainingSpec, updates_per_epoch: int) -> list[float]:
    """Return the milestones such that the first value after so many epochs is the lower one.

    timm compares them with the time plus one; half a step keeps that clear of rounding.
    """
    steps_per_epoch = 1 if text(spec.config, "scheduler.interval") == "epoch" else updates_per_epoch
    return [milestone + 0.5 / steps_per_epoch for milestone in numbers(spec.config, "scheduler.milestones")]


def _first_cycle(spec: TrainingSpec) -> float:
    """Return the epochs of the first cycle such that all cycles together last all epochs."""
    cycles = integer(spec.config, "scheduler.cycles")
    multiplier = number(spec.config, "scheduler.cycle_multiplier")
    return spec.epochs / sum(multiplier**cycle for cycle in range(cycles))
