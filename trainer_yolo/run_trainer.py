"""What all of ultralytics' trainers are made to do: report to the mesh, and go on from any epoch as if never stopped.

Their loop, losses, optimisers, schedules and validators stay ultralytics' own. What is replaced is what would touch the
disk or the network (data sets, checkpoints, plots), and what would make an epoch depend on more than seed, epoch and
the state of the one before.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils.torch_utils import unwrap_model

from trainer.adapter import TrainingDiverged
from trainer_yolo.checkpoint import TrainingState
from trainer_yolo.data import TrainingData
from trainer_yolo.loading import EpochLoader, has_one_shape
from trainer_yolo.results import Results


class Work(Protocol):
    """The training that a trainer works for."""

    seed: int
    threads: int
    data: TrainingData

    def build_model(self) -> torch.nn.Module:
        """The model with its first weights, on the CPU."""
        ...

    def state(self) -> tuple[TrainingState, Mapping[str, torch.Tensor]] | None:
        """What to go on from, and the averaged weights; None: from the beginning."""
        ...

    def fitness(self, trainer: Any, results: Results) -> float:
        """The primary metric of an epoch; more is better."""
        ...

    def end_epoch(self, trainer: Any, results: Results) -> None:
        """Report an epoch that is over, and keep its checkpoint."""
        ...


class RunTrainer(BaseTrainer):
    """What all tasks share. Comes before ultralytics' own class; names without ``Trainer`` get no integrations."""

    run: Work
    accumulate: int

    def __init__(self, run: Work, arguments: Mapping[str, Any], callbacks: Mapping[str, Callable[[Any], None]]) -> None:
        self.run = run
        self._nominal_accumulation = 1
        self._accumulated = 0
        self._steps = 0
        called = defaultdict(list, {name: [call] for name, call in callbacks.items()})
        super().__init__(overrides=dict(arguments), _callbacks=called)
        # On a CPU ultralytics leaves one processor free.
        torch.set_num_threads(max(1, run.threads))
        # And it lets no workers read, whatever it was told.
        self.args.workers = arguments["workers"]
        self.add_callback("on_train_epoch_start", RunTrainer._begin_epoch)

    def get_dataset(self) -> dict[str, Any]:
        """The data as it is in memory."""
        return self.run.data.as_ultralytics()

    def setup_model(self) -> None:
        """Build the model; there is no file to read."""
        self.model = self.run.build_model()

    def get_dataloader(
        self, dataset_path: Any, batch_size: int = 16, rank: int = 0, mode: str = "train"
    ) -> EpochLoader:
        """Load the images of a split, which stand in the place of a path."""
        dataset = self.build_dataset(dataset_path, mode, batch_size)
        training = mode == "train"
        return EpochLoader(
            dataset,
            batch_size,
            workers=self.args.workers,
            shuffle=training and has_one_shape(dataset),
            pin_memory=self.device.type != "cpu",
            begin=(lambda: (self.run.seed, self.epoch + 1)) if training else None,
        )

    def _begin_epoch(self) -> None:
        self._accumulated = self._steps = 0
        # A batch that does not fit is an error: ultralytics would go on with one of half the size.
        self._oom_retries = 3

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Make a batch ready, and ``optimizer_step`` be called after it, which counts by itself.

        ultralytics accumulates from one epoch into the next; a training that goes on from a checkpoint cannot.
        """
        self._nominal_accumulation, self.accumulate = self.accumulate, 0
        return super().preprocess_batch(batch)  # type: ignore[no-any-return]

    def optimizer_step(self) -> None:
        """Update when enough batches are accumulated, or when the epoch is over. Raises TrainingDiverged."""
        self.accumulate = self._nominal_accumulation
        self._accumulated += 1
        self._steps += 1
        if not bool(torch.isfinite(self.loss).all()):
            raise TrainingDiverged(
                f"The loss became {float(self.loss.detach())} in epoch {self.epoch + 1}; try a lower learning rate."
            )
        if self._accumulated >= self.accumulate or self._steps == len(self.train_loader):
            super().optimizer_step()
            self._accumulated = 0

    @property
    def batches_done(self) -> int:
        """Batches of the epoch that were learned from."""
        return self._steps

    @property
    def mean_loss(self) -> float:
        """Mean loss of the epoch so far, the sum of all its parts."""
        return sum(float(value) for value in (self.tloss or {}).values())

    def validate(self) -> tuple[dict[str, float], float]:
        """Validate, and say how good the epoch is by the job's primary metric. Raises TrainingDiverged."""
        metrics, _ = super().validate()
        self.results = self.collect()
        if not math.isfinite(self.results.metrics["val_loss"]):
            raise TrainingDiverged("The validation loss is not finite any more; a lower learning rate may help.")
        return metrics, self.run.fitness(self, self.results)

    @abstractmethod
    def collect(self) -> Results:
        """What the validator has just found."""

    def save_model(self) -> bool:
        """Keep the epoch as the mesh keeps it; ultralytics has nothing to add."""
        self.run.end_epoch(self, self.results)
        return False

    def save_metrics(self, metrics: Any) -> None:
        """They are reported."""

    def final_eval(self) -> None:
        """Every epoch is validated; there is no file of the best to validate again."""

    def _handle_nan_recovery(self, epoch: int) -> bool:
        return False  # a loss that is not finite has ended the training

    def resume_training(self, ckpt: Any) -> None:
        """Put every state where the checkpoint left it."""
        found = self.run.state()
        if found is None:
            return
        state, average = found
        model = unwrap_model(self.model)
        model.load_state_dict(state.weights)
        for saved, group in zip(state.optimizer["param_groups"], self.optimizer.param_groups, strict=True):
            if "fused" in group:
                saved["fused"] = group["fused"]  # this device's, not the other's
        self.optimizer.load_state_dict(dict(state.optimizer))
        self.ema.ema.load_state_dict(average)
        self.ema.updates = state.updates
        self.stopper.best_fitness = state.early_stopping["best"]
        self.stopper.best_epoch = state.early_stopping["best_epoch"]
        self.best_fitness = state.early_stopping["best"]
        self.start_epoch = state.epoch
        model.criterion = model.init_criterion()
        if hasattr(model.criterion, "update"):
            # Its gains move from epoch to epoch.
            model.criterion.updates = state.epoch - 1
            model.criterion.update()
