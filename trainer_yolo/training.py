"""A training from its specification to its last checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from trainer.adapter import BadTrainingData, TrainingDataset, TrainingReporter, TrainingSpec
from trainer.config_values import integer, switch
from trainer_torch.checkpoint_files import Snapshot
from trainer_torch.checkpoint_writer import CheckpointWriter
from trainer_torch.seeding import seed_epoch
from trainer_yolo.arguments import has_fast_bfloat16, training_arguments
from trainer_yolo.checkpoint import (
    ModelDescription,
    TrainingState,
    load_training_state,
    read_weights,
    take_snapshot,
)
from trainer_yolo.checks import check_data, check_model
from trainer_yolo.data import TrainingData, read_data
from trainer_yolo.definitions import Definition, definitions
from trainer_yolo.loading import sentence_of
from trainer_yolo.log import passed_on_log
from trainer_yolo.models import build_model
from trainer_yolo.pretrained import pretrained_model
from trainer_yolo.pretrained_folder import check_pretrained
from trainer_yolo.results import Results
from trainer_yolo.run_trainer import RunTrainer
from trainer_yolo.trainers import trainer_class
from trainer_yolo.warm_start import start_from

PROGRESS_SECONDS = 0.5


class _Stopped(Exception):
    """The run was asked to stop."""


def train(
    spec: TrainingSpec,
    dataset: TrainingDataset,
    run_folder: Path,
    reporter: TrainingReporter,
    versions: Mapping[str, str],
    pretrained_folder: Path | None = None,
) -> bool:
    """Train and validate epoch by epoch, each ending with a checkpoint under ``run_folder/checkpoints``.

    Returns True when all epochs are done, or those that were worth it (early stopping), and False when asked to stop.
    Raises BadTrainingData, PretrainedUnavailable and TrainingDiverged.
    """
    check_model(spec)
    definition = definitions()[spec.model_name]
    data = read_data(dataset, spec.task_type, single_class=spec.config.get("learning.single_cls") is True)
    check_data(data, spec)
    try:
        with passed_on_log(reporter), CheckpointWriter(run_folder / "checkpoints") as writer:
            run = Run(spec, definition, data, run_folder, writer, reporter, versions, pretrained_folder)
            if run.is_over():
                run.tell_beginning()
            else:
                run.trainer().train()
    except _Stopped:
        return False
    except BadTrainingData as error:
        raise BadTrainingData(sentence_of(error)) from error
    return True


class Run:
    """What a trainer asks of its job, and what it tells."""

    def __init__(
        self,
        spec: TrainingSpec,
        definition: Definition,
        data: TrainingData,
        run_folder: Path,
        writer: CheckpointWriter,
        reporter: TrainingReporter,
        versions: Mapping[str, str],
        pretrained_folder: Path | None,
    ) -> None:
        self._spec, self._definition, self._reporter, self._versions = spec, definition, reporter, versions
        self._pretrained_folder = pretrained_folder
        self._writer = writer
        self._work = run_folder / "ultralytics"
        self.data = data
        self.seed, self.threads = spec.seed, spec.threads
        self._sign = 1.0 if spec.primary_metric_mode == "max" else -1.0
        self._state, self._average = self._resumed()
        self._best = None if self._state is None else self._state.best_metric
        self._epochs_done = 0 if self._state is None else self._state.epoch
        self._began_seconds = self._reported_seconds = 0.0

    def trainer(self) -> RunTrainer:
        """A trainer that is ready to train."""
        callbacks = {
            "on_train_start": self._begin,
            "on_train_epoch_start": self._begin_epoch,
            "on_train_batch_start": self._go_on,
            "on_train_batch_end": self._progress,
            "on_val_batch_start": self._go_on,
        }
        arguments = training_arguments(self._spec, self._definition, self._work)
        kind = trainer_class(self._spec.task_type, is_rtdetr=self._definition.is_rtdetr)
        return kind(self, arguments, callbacks)

    def is_over(self) -> bool:
        """Whether the checkpoint to go on from has all that is to be trained."""
        state, patience = self._state, integer(self._spec.config, "early_stopping.patience")
        if state is None:
            return False
        stopped = bool(patience) and state.epoch - int(state.early_stopping["best_epoch"]) >= patience
        return stopped or state.epoch >= self._spec.epochs

    def build_model(self) -> torch.nn.Module:
        """Build the model with the weights that the job begins with."""
        spec = self._spec
        seed_epoch(spec.seed, 0)
        points = self.data.keypoints
        model = build_model(
            self._definition, self.data.class_names, None if points is None else (points.points, points.values)
        )
        # The weights of a checkpoint replace published ones: neither resuming nor a warm start needs any.
        if spec.resume_from is not None:
            return model
        if spec.initial_weights is not None:
            start_from(model, spec.initial_weights, spec, self._reporter)
        elif spec.pretrained:
            check_pretrained(spec.model_name, self._pretrained_folder)
            published = pretrained_model(self._definition, self._pretrained_folder)
            model.load(published, verbose=False)  # type: ignore[operator]
        return model

    def state(self) -> tuple[TrainingState, Mapping[str, torch.Tensor]] | None:
        """What to go on from, with the averaged weights; handed over once, since it is as large as the model."""
        state, self._state = self._state, None
        average, self._average = self._average, {}
        return None if state is None else (state, average)

    def fitness(self, trainer: RunTrainer, results: Results) -> float:
        """The primary metric with its sign: more is better."""
        return self._sign * self._metrics(trainer, results)[self._spec.primary_metric]

    def end_epoch(self, trainer: RunTrainer, results: Results) -> None:
        """Report the epoch, and keep it when it is due, the best or the last."""
        spec, reporter = self._spec, self._reporter
        epoch = int(trainer.epoch) + 1
        metrics = self._metrics(trainer, results)
        reported = {name: value for name, value in metrics.items() if name not in ("accuracy", "loss")}
        reported["samples_per_second"] = self._samples_per_second
        # Of two groups of one name the first is that of the head, which MuSGD lets learn faster.
        rates = {str(group["param_group"]): float(group["lr"]) for group in trainer.optimizer.param_groups}
        reported |= {f"learning_rate_{name}": rate for name, rate in rates.items()}
        updates = int(trainer.ema.updates)
        # The images of a validation belong to the checkpoint that is told next: the one before must be told by now.
        self._writer.wait()
        reporter.metrics(epoch, updates, metrics["loss"], results.metrics.get("accuracy"), rates["weight"], reported)
        summary: dict[str, object] = {
            "per_class": results.per_class,
            "confusion_matrix": results.confusion_matrix,
            "metrics": results.metrics,
        }
        if results.images:
            summary["images"] = results.images
            summary["class_names"] = self.data.class_names
        reporter.validation(epoch, summary)
        value = metrics[spec.primary_metric]
        is_best = self._best is None or self._sign * value > self._sign * self._best
        self._best = value if is_best else self._best
        if is_best or trainer.stop or epoch % integer(spec.config, "checkpoint.interval") == 0:
            snapshot = self._snapshot(trainer, epoch, metrics)
            self._writer.write(snapshot, lambda folder: reporter.checkpoint(epoch, folder, is_best, metrics))
        if trainer.stop and epoch < spec.epochs:
            reporter.log(
                "info",
                f"Stopped early after epoch {epoch}: {spec.primary_metric} has not become better than that of epoch "
                f"{trainer.stopper.best_epoch}.",
            )

    def _metrics(self, trainer: RunTrainer, results: Results) -> dict[str, float]:
        parts = {name: float(value) for name, value in trainer.tloss.items() if name != "loss"}
        return {"loss": trainer.mean_loss, **parts, **results.metrics}

    def _snapshot(self, trainer: RunTrainer, epoch: int, metrics: Mapping[str, float]) -> Snapshot:
        stopper = trainer.stopper
        return take_snapshot(
            ModelDescription(
                model_name=self._spec.model_name,
                task_type=self._spec.task_type,
                class_names=self.data.class_names,
                image_size=self._spec.image_size,
                epoch=epoch,
                metrics=metrics,
                versions=self._versions,
                keypoints=self.data.keypoints,
            ),
            trainer.ema.ema.state_dict(),
            TrainingState(
                weights=trainer.model.state_dict(),
                optimizer=trainer.optimizer.state_dict(),
                epoch=epoch,
                updates=int(trainer.ema.updates),
                best_metric=float(self._best or 0.0),
                early_stopping={"best": float(stopper.best_fitness), "best_epoch": int(stopper.best_epoch)},
            ),
        )

    def tell_beginning(self) -> None:
        """Tell where the training begins, and on what."""
        images = len(self.data.train)
        steps = -(-images // min(self._spec.batch_size, images))
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._reporter.began(self._spec.epochs, self._epochs_done + 1, steps, device)

    def _begin(self, trainer: RunTrainer) -> None:
        spec, log = self._spec, self._reporter.log
        self.tell_beginning()
        for sentence in self.data.oddities:
            log("warning", sentence)
        if len(self.data.train) < spec.batch_size:
            log("warning", f"An epoch is one batch of {len(self.data.train)} images: the train split has no more.")
        if switch(spec.config, "computation.amp") and not has_fast_bfloat16():
            log("info", f"Mixed precision is ignored: it would not be faster on this {trainer.device.type}.")

    def _begin_epoch(self, trainer: RunTrainer) -> None:
        self._began_seconds, self._reported_seconds = time.monotonic(), -math.inf
        self._samples_per_second = 0.0

    def _go_on(self, trainer: Any) -> None:
        if self._reporter.should_stop():
            raise _Stopped

    def _progress(self, trainer: RunTrainer) -> None:
        now, step, steps = time.monotonic(), trainer.batches_done, len(trainer.train_loader)
        if now - self._reported_seconds < PROGRESS_SECONDS and step < steps:
            return
        self._reported_seconds = now
        seen = min(step * trainer.train_loader.batch_size, len(self.data.train))
        self._samples_per_second = seen / max(now - self._began_seconds, 1e-9)
        self._reporter.progress(int(trainer.epoch) + 1, step, steps, trainer.mean_loss, self._samples_per_second)

    def _resumed(self) -> tuple[TrainingState | None, Mapping[str, torch.Tensor]]:
        folder = self._spec.resume_from
        if folder is None:
            return None, {}
        description, average = read_weights(folder)
        told = (description.model_name, description.class_names)
        if told != (self._spec.model_name, self.data.class_names) or description.keypoints != self.data.keypoints:
            raise BadTrainingData("The checkpoint to resume from has another model, other classes or other keypoints.")
        return load_training_state(folder), average
