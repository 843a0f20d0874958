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
from trainer_timm.epochs import EpochResult, Learner, train_epoch
from trainer_timm.evaluation import Evaluation, evaluate, metric_names
from trainer_timm.images import SampleImages, evaluation_loader, training_loader
from trainer_timm.models import build_model
from trainer_timm.optimization import create_optimizer, create_scheduler
from trainer_timm.pretrained import check_pretrained
from trainer_timm.seeding import seed_epoch
from trainer_timm.transforms import evaluation_transform, resolve_preprocessing, training_transform


def train(
    spec: TrainingSpec,
    dataset: TrainingDataset,
    run_folder: Path,
    reporter: TrainingReporter,
    versions: Mapping[str, str],
) -> bool:
    """Train and validate epoch by epoch, each ending with a checkpoint under ``run_folder/checkpoints``.

    Returns True when all epochs are done and False when asked to stop. Raises BadTrainingData,
    PretrainedUnavailable and TrainingDiverged.
    """
    check_dataset(dataset, spec)
    torch.set_num_threads(max(1, spec.threads))
    return _Training(spec, dataset, run_folder, reporter, versions).run()


def check_dataset(dataset: TrainingDataset, spec: TrainingSpec) -> None:
    """Raise BadTrainingData when there is too little to train on or to choose the best epoch by."""
    classes = len(dataset.class_names)
    if classes < 2:
        raise BadTrainingData("Classification needs at least two classes.")
    if len(dataset.split("train")) < 2:
        raise BadTrainingData("The train split needs at least two images.")
    if not dataset.split("val"):
        raise BadTrainingData("The val split has no images; every epoch is validated.")
    for sample in dataset.samples:
        if not 0 <= sample.label_id < classes:
            raise BadTrainingData(f"{sample.path} has label id {sample.label_id}, but there are {classes} classes.")
    names = metric_names(classes) | {"loss"}
    if spec.primary_metric not in names:
        raise BadTrainingData(f"The primary metric {spec.primary_metric} is not measured; one of {sorted(names)} is.")


class _Training:
    """The parts of one training, wired together."""

    def __init__(
        self,
        spec: TrainingSpec,
        dataset: TrainingDataset,
        run_folder: Path,
        reporter: TrainingReporter,
        versions: Mapping[str, str],
    ) -> None:
        self._spec, self._dataset, self._reporter, self._versions = spec, dataset, reporter, versions
        self._checkpoints = run_folder / "checkpoints"
        self._epochs_done = 0
        self._best_metric: float | None = None
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model = self._initial_model().to(device)
        self._preprocessing = resolve_preprocessing(model, spec.image_size)
        self._train_images = SampleImages(
            dataset.root, dataset.split("train"), training_transform(self._preprocessing, spec.config)
        )
        val_images = SampleImages(dataset.root, dataset.split("val"), evaluation_transform(self._preprocessing))
        self._val_batches = evaluation_loader(val_images, spec.batch_size, device)
        self._steps = len(training_loader(self._train_images, spec.batch_size, None, device))
        optimizer = create_optimizer(model, spec)
        self._learner = Learner(
            model=model,
            loss=torch.nn.CrossEntropyLoss(
                label_smoothing=float(spec.config["regularization.label_smoothing"])  # type: ignore[arg-type]
            ),
            optimizer=optimizer,
            scheduler=create_scheduler(optimizer, spec, self._steps),
            device=device,
            clip_norm=float(spec.config["gradient.clip_norm"]),  # type: ignore[arg-type]
        )
        if spec.resume_from is not None:
            self._resume(spec.resume_from)

    def run(self) -> bool:
        spec, reporter = self._spec, self._reporter
        reporter.began(spec.epochs, self._epochs_done + 1, self._steps, self._learner.device.type)
        for epoch in range(self._epochs_done + 1, spec.epochs + 1):
            generator = seed_epoch(spec.seed, epoch)
            batches = training_loader(self._train_images, spec.batch_size, generator, self._learner.device)
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
        # A checkpoint replaces every weight: resuming needs no hub.
        pretrained = spec.pretrained and spec.resume_from is None
        if pretrained:
            check_pretrained(spec.model_name)
        drop_rate = float(spec.config["regularization.drop_rate"])  # type: ignore[arg-type]
        classes = len(self._dataset.class_names)
        return build_model(spec.model_name, classes, spec.image_size, drop_rate, pretrained)

    def _resume(self, folder: Path) -> None:
        description, weights = load_model(folder)
        if (description.model_name, description.class_names) != (self._spec.model_name, self._dataset.class_names):
            raise BadTrainingData("The checkpoint to resume from has another model or other classes.")
        state = load_training_state(folder)
        self._learner.model.load_state_dict(weights)
        self._learner.optimizer.load_state_dict(dict(state.optimizer))
        self._learner.scheduler.load_state_dict(dict(state.scheduler))
        self._learner.updates = state.updates
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
        value = metrics[self._spec.primary_metric]
        is_best = self._best_metric is None or (
            value > self._best_metric if self._spec.primary_metric_mode == "max" else value < self._best_metric
        )
        best = value if is_best or self._best_metric is None else self._best_metric
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
                scheduler=learner.scheduler.state_dict(),
                epoch=epoch,
                updates=learner.updates,
                best_metric=best,
            ),
        )
        self._reporter.checkpoint(epoch, folder, is_best, metrics)
