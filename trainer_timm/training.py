"""A training from its specification to its last checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from trainer.adapter import BadTrainingData, TrainingDataset, TrainingReporter, TrainingSpec
from trainer_timm.checkpoint import (
    ModelDescription,
    TrainingState,
    load_model,
    load_training_state,
    save_checkpoint,
)
from trainer_timm.checks import check_dataset
from trainer_timm.devices import best_device, has_fast_bfloat16
from trainer_timm.epochs import EpochResult, Learner, train_epoch
from trainer_timm.evaluation import Evaluation, evaluate
from trainer_timm.fields import MIXED_PRECISION
from trainer_timm.loading import DecodedImages, SampleImages, evaluation_loader, plan_loading, training_loader
from trainer_timm.models import build_model, check_image_size
from trainer_timm.optimization import create_optimizer, create_scheduler
from trainer_timm.pretrained import check_pretrained
from trainer_timm.seeding import seed_epoch
from trainer_timm.settings import integer, number
from trainer_timm.transforms import evaluation_transform, resolve_preprocessing, training_transform
from trainer_timm.warm_start import start_from


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
    Returns True when all epochs are done and False when asked to stop. Raises BadTrainingData,
    PretrainedUnavailable and TrainingDiverged.
    """
    check_dataset(dataset, spec)
    torch.set_num_threads(max(1, spec.threads))
    try:
        return _Training(spec, dataset, run_folder, reporter, versions, pretrained_folder).run()
    except torch.OutOfMemoryError as error:
        raise BadTrainingData(
            f"Batches of {spec.batch_size} images of {spec.image_size} pixels do not fit into the device's memory; "
            "use a smaller batch_size, image_size or model."
        ) from error


class _Training:
    """The parts of one training, wired together."""

    def __init__(
        self,
        spec: TrainingSpec,
        dataset: TrainingDataset,
        run_folder: Path,
        reporter: TrainingReporter,
        versions: Mapping[str, str],
        pretrained_folder: Path | None,
    ) -> None:
        self._pretrained_folder = pretrained_folder
        self._spec, self._dataset, self._reporter, self._versions = spec, dataset, reporter, versions
        self._checkpoints = run_folder / "checkpoints"
        self._epochs_done = 0
        self._best_metric: float | None = None
        device = best_device()
        train_samples, val_samples = dataset.split("train"), dataset.split("val")
        self._plan = plan_loading(dataset.root, [*train_samples, *val_samples], device, spec.threads)
        model = self._initial_model().to(device)
        self._preprocessing = resolve_preprocessing(model, spec.image_size)
        images = DecodedImages(dataset.root, self._plan.cache_bytes)
        self._train_images = SampleImages(images, train_samples, training_transform(self._preprocessing, spec.config))
        val_images = SampleImages(images, val_samples, evaluation_transform(self._preprocessing))
        self._val_batches = evaluation_loader(val_images, spec.batch_size, self._plan)
        self._steps = len(training_loader(self._train_images, spec.batch_size, None, self._plan))
        optimizer = create_optimizer(model, spec)
        self._learner = Learner(
            model=model,
            loss=torch.nn.CrossEntropyLoss(label_smoothing=number(spec.config, "regularization.label_smoothing")),
            optimizer=optimizer,
            scheduler=create_scheduler(optimizer, spec, self._steps),
            device=device,
            clip_norm=number(spec.config, "gradient.clip_norm"),
            # The field exists, and the precision pays, only on some devices; a job may have come from another one.
            mixed_precision=spec.config.get(MIXED_PRECISION.name) is True and has_fast_bfloat16(),
        )
        if spec.resume_from is not None:
            self._resume(spec.resume_from)

    def run(self) -> bool:
        spec, reporter = self._spec, self._reporter
        reporter.began(spec.epochs, self._epochs_done + 1, self._steps, self._learner.device.type)
        if integer(spec.config, "scheduler.warmup_epochs") >= spec.epochs:
            reporter.log("warning", "The warm-up lasts all epochs: the learning rate never reaches its full value.")
        for epoch in range(self._epochs_done + 1, spec.epochs + 1):
            generator = seed_epoch(spec.seed, epoch)
            batches = training_loader(self._train_images, spec.batch_size, generator, self._plan)
            trained = train_epoch(self._learner, batches, epoch, reporter)
            if trained is None:
                return False
            validated = evaluate(
                self._learner.model,
                self._val_batches,
                self._dataset.class_names,
                self._learner.device,
                reporter.should_stop,
            )
            if validated is None:
                return False
            self._report(epoch, trained, validated)
            self._save(epoch, {"loss": trained.loss, **validated.metrics})
        return True

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
        self._learner.model.load_state_dict(weights)
        self._learner.optimizer.load_state_dict(dict(state.optimizer))
        self._learner.resume(state.epoch, state.updates)
        self._epochs_done = state.epoch
        self._best_metric = state.best_metric

    def _report(self, epoch: int, trained: EpochResult, validated: Evaluation) -> None:
        extra = {name: value for name, value in validated.metrics.items() if name != "accuracy"}
        extra["samples_per_second"] = trained.samples_per_second
        accuracy = validated.metrics["accuracy"]
        self._reporter.metrics(epoch, self._learner.updates, trained.loss, accuracy, trained.learning_rate, extra)
        self._reporter.validation(
            epoch,
            {
                "per_class": validated.per_class,
                "confusion_matrix": validated.confusion_matrix,
                "metrics": validated.metrics,
            },
        )

    def _save(self, epoch: int, metrics: dict[str, float]) -> None:
        is_best = self._improves(metrics[self._spec.primary_metric])
        best = metrics[self._spec.primary_metric] if is_best or self._best_metric is None else self._best_metric
        self._best_metric = best
        learner = self._learner
        folder = save_checkpoint(
            self._checkpoints,
            ModelDescription(
                model_name=self._spec.model_name,
                class_names=self._dataset.class_names,
                preprocessing=self._preprocessing,
                epoch=epoch,
                metrics=metrics,
                versions=self._versions,
            ),
            learner.model.state_dict(),
            TrainingState(
                optimizer=learner.optimizer.state_dict(),
                epoch=epoch,
                updates=learner.updates,
                best_metric=best,
            ),
        )
        self._reporter.checkpoint(epoch, folder, is_best, metrics)

    def _improves(self, value: float) -> bool:
        if self._best_metric is None:
            return True
        return value > self._best_metric if self._spec.primary_metric_mode == "max" else value < self._best_metric
