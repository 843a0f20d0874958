"""Short trainings whose outcomes can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from tests.trainer_timm.helpers import Recorder, make_spec
from trainer.adapter import TrainingDataset, TrainingSpec
from trainer_timm.adapter import TimmAdapter
from trainer_timm.checkpoint import load_model, load_training_state
from trainer_timm.models import build_model
from trainer_torch.seeding import seed_epoch


@dataclass(frozen=True)
class Outcome:
    """What a training left behind."""

    start: dict[str, torch.Tensor]
    weights: dict[str, torch.Tensor]
    own_weights: Mapping[str, torch.Tensor] | None
    optimizer_tensors: set[str]
    groups: list[dict[str, Any]]
    updates: int
    losses: list[float]
    learning_rates: list[float]
    checkpoints: list[int]
    stopped_for: str
    channels_last: bool

    @property
    def distance(self) -> float:
        """L2 distance of the weights from where they began."""
        names = [name for name in self.start if name.endswith("weight")]
        return float(sum(((self.weights[name] - self.start[name]) ** 2).sum() for name in names) ** 0.5)

    @property
    def kernel_norm(self) -> float:
        """L2 norm of the decayed weights, which are those of more than one dimension."""
        return float(sum((weight**2).sum() for weight in self.weights.values() if weight.dim() > 1) ** 0.5)


@lru_cache(maxsize=1)
def initial_weights() -> dict[str, torch.Tensor]:
    seed_epoch(make_spec().seed, 0)
    return build_model("test_resnet", 3, 32).state_dict()


@contextmanager
def watched_formats() -> Iterator[list[bool]]:
    """Note of each convolution whether its images keep the channels of a pixel together."""
    formats: list[bool] = []

    def look(module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        # Of single channels and single pixels both formats are one.
        if isinstance(module, torch.nn.Conv2d) and module.training and min(inputs[0].shape[1:]) > 1:
            formats.append(inputs[0].is_contiguous(memory_format=torch.channels_last))

    hook = torch.nn.modules.module.register_module_forward_pre_hook(look)
    try:
        yield formats
    finally:
        hook.remove()


def train(folder: Path, dataset: TrainingDataset, spec: TrainingSpec) -> Outcome:
    """Train a test_resnet with the seed of ``make_spec``."""
    recorder = Recorder()
    with watched_formats() as formats:
        assert TimmAdapter().train(spec, dataset, folder, recorder)
    checkpoint = recorder.checkpoints[-1][1]
    state = load_training_state(checkpoint)
    reasons = [message.split(": ")[1] for _, message in recorder.lines if message.startswith("Stopped early")]
    return Outcome(
        start=initial_weights(),
        weights=load_model(checkpoint)[1],
        own_weights=state.weights,
        optimizer_tensors={name for values in state.optimizer["state"].values() for name in values},
        groups=state.optimizer["param_groups"],
        updates=state.updates,
        losses=[epoch.loss for epoch in recorder.epochs],
        learning_rates=[epoch.learning_rate for epoch in recorder.epochs],
        checkpoints=[item[0] for item in recorder.checkpoints],
        stopped_for=reasons[0].split(" ")[0] if reasons else "",
        channels_last=any(formats),
    )
