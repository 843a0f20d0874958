"""What a configuration makes of a training: as it is set up, and as it ends. Outcomes can be compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from tests.trainer_yolo.helpers import Recorder
from trainer.adapter import TrainingDataset, TrainingSpec
from trainer_torch.checkpoint_writer import CheckpointWriter
from trainer_yolo.adapter import YoloAdapter
from trainer_yolo.checkpoint import load_training_state
from trainer_yolo.data import read_data
from trainer_yolo.definitions import definitions
from trainer_yolo.run_trainer import RunTrainer
from trainer_yolo.training import Run


@dataclass(frozen=True)
class SetUp:
    """A training right before its first batch."""

    trainer: RunTrainer
    deterministic: bool

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The optimiser's groups of parameters."""
        return list(self.trainer.optimizer.param_groups)

    @cached_property
    def batch(self) -> dict[str, Any]:
        """The first batch of the first epoch, as the model takes it."""
        self.trainer.epoch = 0
        return self.trainer.preprocess_batch(next(iter(self.trainer.train_loader)))

    @property
    def epoch(self) -> list[torch.Tensor]:
        """The images of all batches of the first epoch."""
        self.trainer.epoch = 0
        return [batch["img"] for batch in self.trainer.train_loader]

    @cached_property
    def loss(self) -> dict[str, float]:
        """What the model makes of the first batch."""
        self.trainer.model.train()
        return {name: float(value) for name, value in self.trainer.model(self.batch)[1].items()}

    @property
    def rates(self) -> list[float]:
        """Learning rate of each epoch as a share of the job's."""
        return [self.trainer.lf(epoch) for epoch in range(self.trainer.epochs)]


@dataclass
class Trained:
    """A training that is over."""

    recorder: Recorder
    weights: dict[str, torch.Tensor]
    updates: int
    # By batch: learning rates and momentum of each group.
    rates: list[list[float]] = field(default_factory=list)
    momenta: list[list[float]] = field(default_factory=list)

    @property
    def losses(self) -> list[float]:
        return [epoch.loss for epoch in self.recorder.epochs]

    @property
    def checkpoints(self) -> list[int]:
        return [item[0] for item in self.recorder.checkpoints]


def set_up(spec: TrainingSpec, dataset: TrainingDataset, folder: Path) -> SetUp:
    """Make a training ready, and train nothing."""
    single = bool(spec.config.get("learning.single_cls", False))
    data = read_data(dataset, spec.task_type, single_class=single)
    trainer = Run(
        spec, definitions()[spec.model_name], data, folder, CheckpointWriter(folder), Recorder(), {}, None
    ).trainer()
    trainer._setup_train()
    return SetUp(trainer, torch.are_deterministic_algorithms_enabled())


def train(spec: TrainingSpec, dataset: TrainingDataset, folder: Path) -> Trained:
    """Train, noting each batch what ``advanced_config`` moves."""
    trained = Trained(Recorder(), {}, 0)
    step = RunTrainer.optimizer_step

    def note(self: RunTrainer) -> None:
        trained.rates.append([group["lr"] for group in self.optimizer.param_groups])
        trained.momenta.append([group.get("momentum", 0.0) for group in self.optimizer.param_groups])
        step(self)

    RunTrainer.optimizer_step = note  # type: ignore[method-assign]
    try:
        assert YoloAdapter().train(spec, dataset, folder, trained.recorder)
    finally:
        RunTrainer.optimizer_step = step  # type: ignore[method-assign]
    state = load_training_state(trained.recorder.checkpoints[-1][1])
    trained.weights, trained.updates = dict(state.weights), state.updates
    return trained
