"""A training from its specification to its last checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from timm.utils.model_ema import ModelEmaV3

from trainer.adapter import BadTrainingData, TrainingDataset, TrainingReporter, TrainingSpec
from trainer.config_values import integer, number, switch, text
from trainer_timm.checkpoint import (
    ModelDescription,
    TrainingState,
    load_model,
    load_training_state,
    take_snapshot,
)
from trainer_timm.checks import check_dataset
from trainer_timm.devices import best_device, has_fast_bfloat16
from trainer_timm.early_stopping import EarlyStopping
from trainer_timm.epochs import EpochResult, Learner, train_epoch
from trainer_timm.evaluation import Evaluation, evaluate
from trainer_timm.loading import DecodedImages, SampleImages, evaluation_loader, plan_loading, training_loader
from trainer_timm.losses import create_loss
from trainer_timm.mixing import create_mixing
from trainer_timm.models import build_model, check_image_size
from trainer_timm.optimization import create_optimizer, create_scheduler, restore_scheduler, scheduler_state
from trainer_timm.pretrained import check_pretrained
from trainer_timm.transforms import evaluation_transform, resolve_preprocessing, training_transform
from trainer_timm.warm_start import start_from
from trainer_torch.checkpoint_writer import CheckpointWriter
from trainer_torch.seeding import seed_epoch


def train(
    spec: TrainingSpec,
    dataset: TrainingDataset,
    run_folder: Path,
    reporter: TrainingReporter,
    versions: Mapping[str, str],
    pretrained_folder: Path | None = None,
) -> bool:
    """Train and validate epoch by epoch, each ending with a checkpoint under ``run_folder/checkpoints``.

    Published weights are looked for in ``pretrained_folder`` first.
    Returns True when all epochs are done, or those that were worth it (early stopping), and False when asked to stop.
    Raises BadTrainingData, PretrainedUnavailable and TrainingDiverged.
    """
    check_dataset(dataset, spec)
    torch.set_num_threads(max(1, spec.threads))
    with CheckpointWriter(run_folder / "checkpoints") as writer:
        return _Training(spec, dataset, writer, reporter, versions, pretrained_folder).run()


class _Training:
    """The parts of one training, wired together."""

    def __init__(
        self,
        spec: TrainingSpec,
        dataset: TrainingDataset,
        writer: CheckpointWriter,
        reporter: TrainingReporter,
        versions: Mapping[str, str],
        pretrained_folder: Path | None,
    ) -> None:
        self._pretrained_folder = pretrained_folder
        self._spec, self._dataset, self._reporter, self._versions = spec, dataset, reporter, versions
        self._writer = writer
        self._epochs_done = 0
        self._best_metric: float | None = None
        device = best_device()
        train_samples, val_samples = dataset.split("train"), dataset.split("val")
        config = spec.config
        self._stopping = EarlyStopping(spec)
        self._balanced = switch(config, "loading.balanced_sampling")
        self._plan = plan_loading(
            dataset.root,
            [*train_samples, *val_samples],
            device,
            spec.threads,
            integer(config, "loading.workers"),
        )
        channels_last = switch(config, "precision.channels_last")
        model = self._initial_model().to(device)
        if channels_last:
            model = model.to(memory_format=torch.channels_last)
        self._preprocessing = resolve_preprocessing(model, spec.image_size)
        images = DecodedImages(dataset.root, self._plan.cache_bytes)
        self._train_images = SampleImages(images, train_samples, training_transform(self._preprocessing, spec.config))
        val_images = SampleImages(images, val_samples, evaluation_transform(self._preprocessing))
        self._val_batches = evaluation_loader(val_images, spec.batch_size, self._plan)
        self._steps = len(training_loader(self._train_images, spec.batch_size, None, self._plan))
        accumulation = integer(config, "gradient.accumulation")
        optimizer = create_optimizer(model, spec)
        self._learner = Learner(
            model=model,
            loss=create_loss(config, train_samples, len(dataset.class_names)).to(device),
            optimizer=optimizer,
            scheduler=create_scheduler(optimizer, spec, -(-self._steps // accumulation)),
            device=device,
            average=_average(model, spec),
            mixing=create_mixing(config, len(dataset.class_names)),
            clip_mode=text(config, "gradient.clip_mode"),
            clip_value=number(config, "gradient.clip_value"),
            accumulation=accumulation,
            frozen_epochs=integer(config, "freeze.backbone_epochs"),
            channels_last=channels_last,
            # It pays only on some devices.
            mixed_precision=switch(config, "precision.amp") and has_fast_bfloat16(),
        )
        if spec.resume_from is not None:
            self._resume(spec.resume_from)

    def run(self) -> bool:
        spec, reporter = self._spec, self._reporter
        reporter.began(spec.epochs, self._epochs_done + 1, self._steps, self._learner.device.type)
        self._log_oddities()
        for epoch in range(self._epochs_done + 1, spec.epochs + 1):
            if self._stopping.reason is not None:
                return True  # a run that resumes from the end of one that stopped early
            generator = seed_epoch(spec.seed, epoch)
            batches = training_loader(self._train_images, spec.batch_size, generator, self._plan, self._balanced)
            trained = train_epoch(self._learner, batches, epoch, reporter)
            if trained is None:
                return False
            validated = evaluate(
                self._learner.published_model,
                self._val_batches,
                self._dataset.class_names,
                self._learner.device,
                reporter.should_stop,
            )
            if validated is None:
                return False
            self._report(epoch, trained, validated)
            metrics = {"loss": trained.loss, **validated.metrics}
            self._learner.end_epoch(epoch, metrics[spec.primary_metric])
            self._stopping.watch(epoch, metrics)
            self._keep(epoch, metrics, is_last=epoch == spec.epochs or self._stopping.reason is not None)
            if self._stopping.reason is not None:
                reporter.log("info", self._stopping.reason)
                return True
        return True

    def _log_oddities(self) -> None:
        spec, log = self._spec, self._reporter.log
        if integer(spec.config, "scheduler.warmup_epochs") >= spec.epochs:
            log("warning", "The warm-up lasts all epochs: the learning rate never reaches its full value.")
        images = len(self._train_images)
        if images < spec.batch_size:
            log("warning", f"An epoch is one batch of {images} images: the train split has fewer than batch_size.")
            if images % 2 and self._learner.mixing is not None:
                log("warning", f"Nothing is mixed: {images} images make no pairs; an even batch_size below that mixes.")
        if switch(spec.config, "precision.amp") and not self._learner.mixed_precision:
            log("info", f"Mixed precision is ignored: it would not be faster on this {self._learner.device.type}.")

    def _initial_model(self) -> torch.nn.Module:
        spec = self._spec
        seed_epoch(spec.seed, 0)
        # The weights of a checkpoint replace published ones: neither resuming nor a warm start needs a hub.
        pretrained = spec.pretrained and spec.resume_from is None and spec.initial_weights is None
        if pretrained:
            check_pretrained(spec.model_name, self._pretrained_folder)
        drop_rate = number(spec.config, "regularization.drop_rate")
        class_names = self._dataset.class_names
        model = build_model(
            spec.model_name,
            len(class_names),
            spec.image_size,
            drop_rate,
            pretrained,
            number(spec.config, "regularization.drop_path_rate"),
            pretrained_folder=self._pretrained_folder,
        )
        if spec.initial_weights is not None and spec.resume_from is None:
            start_from(model, spec.initial_weights, spec, class_names, self._reporter)
        check_image_size(model, spec.model_name, spec.image_size)
        return model

    def _resume(self, folder: Path) -> None:
        description, weights = load_model(folder)
        if (description.model_name, description.class_names) != (self._spec.model_name, self._dataset.class_names):
            raise BadTrainingData("The checkpoint to resume from has another model or other classes.")
        state = load_training_state(folder)
        learner = self._learner
        if learner.average is None:
            learner.model.load_state_dict(weights)
        else:
            # Weights that were not averaged begin their own average.
            learner.average.module.load_state_dict(weights)
            learner.model.load_state_dict(weights if state.weights is None else state.weights)
        learner.optimizer.load_state_dict(dict(state.optimizer))
        learner.updates = state.updates
        restore_scheduler(learner.scheduler, state.scheduler, state.epoch, state.updates)
        self._stopping.restore(state.early_stopping, state.epoch)
        self._epochs_done = state.epoch
        self._best_metric = state.best_metric

    def _report(self, epoch: int, trained: EpochResult, validated: Evaluation) -> None:
        extra = {name: value for name, value in validated.metrics.items() if name != "accuracy"}
        extra["samples_per_second"] = trained.samples_per_second
        accuracy = validated.metrics["accuracy"]
        # The images of a validation belong to the checkpoint that is told next: the one before must be told by now.
        self._writer.wait()
        self._reporter.metrics(epoch, self._learner.updates, trained.loss, accuracy, trained.learning_rate, extra)
        self._reporter.validation(
            epoch,
            {
                "per_class": validated.per_class,
                "confusion_matrix": validated.confusion_matrix,
                "metrics": validated.metrics,
                "images": validated.predictions.rows(self._dataset.split("val")),
            },
        )

    def _keep(self, epoch: int, metrics: dict[str, float], is_last: bool) -> None:
        """Write a checkpoint of the epoch when it is due, the best or the last."""
        value = metrics[self._spec.primary_metric]
        is_best = self._improves(value)
        best = value if is_best or self._best_metric is None else self._best_metric
        self._best_metric = best
        if not is_best and not is_last and epoch % integer(self._spec.config, "checkpoint.interval"):
            return
        learner = self._learner
        snapshot = take_snapshot(
            ModelDescription(
                model_name=self._spec.model_name,
                class_names=self._dataset.class_names,
                preprocessing=self._preprocessing,
                epoch=epoch,
                metrics=metrics,
                versions=self._versions,
            ),
            learner.published_model.state_dict(),
            TrainingState(
                optimizer=learner.optimizer.state_dict(),
                epoch=epoch,
                updates=learner.updates,
                best_metric=best,
                weights=None if learner.average is None else learner.model.state_dict(),
                scheduler=scheduler_state(learner.scheduler),
                early_stopping=self._stopping.state(),
            ),
        )
        self._writer.write(snapshot, lambda folder: self._reporter.checkpoint(epoch, folder, is_best, metrics))

    def _improves(self, value: float) -> bool:
        if self._best_metric is None:
            return True
        return value > self._best_metric if self._spec.primary_metric_mode == "max" else value < self._best_metric


def _average(model: torch.nn.Module, spec: TrainingSpec) -> ModelEmaV3 | None:
    if not switch(spec.config, "ema.enabled"):
        return None
    return ModelEmaV3(model, decay=number(spec.config, "ema.decay"), use_warmup=switch(spec.config, "ema.warmup"))
