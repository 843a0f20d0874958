"""The reporter of a training process: what the adapter tells goes onto the spool."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.runs.folder import RunFolder
from trainer.runs.spool import SpoolWriter
from trainer.runs.time_left import TimeLeft
from trainer.runs.validation_files import ValidationFiles
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import event_pb2

PROGRESS_SECONDS = 0.25
MAX_LINE_CHARACTERS = 4000
# A matrix of more classes makes every epoch's event large; it can be counted from the images of the best and the last.
MAX_CONFUSION_CLASSES = 100

_LEVELS = {
    "debug": event_pb2.LOG_LEVEL_DEBUG,
    "info": event_pb2.LOG_LEVEL_INFO,
    "warning": event_pb2.LOG_LEVEL_WARNING,
    "error": event_pb2.LOG_LEVEL_ERROR,
}


class SpoolReporter:
    """A ``TrainingReporter`` onto ``training.spool``.

    What counts (beginnings, metrics, validations, checkpoints, the end) is on disk before a call returns; progress and
    log lines are with the operating system, which survives a killed process but not a power cut.
    """

    def __init__(self, folder: RunFolder, class_names: Sequence[str]) -> None:
        self._folder = folder
        self._class_names = class_names
        self._spool = SpoolWriter(folder.training_spool, run_pb2.EVENT_SOURCE_TRAINING, folder.bell, folder.reserve)
        self._validation_files = ValidationFiles(folder.path, class_names)
        self._progress_time = -math.inf
        self._time_left: TimeLeft | None = None
        self._stop = False

    def began(self, total_epochs: int, start_epoch: int, steps_per_epoch: int, device: str) -> None:
        """Tell that training began."""
        self._time_left = TimeLeft(total_epochs, start_epoch, time.monotonic())
        start = event_pb2.TrainingStart(
            device=device, total_epochs=total_epochs, start_epoch=start_epoch, steps_per_epoch=steps_per_epoch
        )
        self._spool.append(run_pb2.RunEvent(training_start=start))

    def progress(self, epoch: int, step: int, steps: int, loss: float, samples_per_second: float) -> None:
        """Tell of a batch; between the last batches of epochs at most four calls a second are passed on.

        What is left of the training is told with it, whatever the framework.
        """
        now = time.monotonic()
        left = self._time_left.batches_done(epoch, step, steps, now) if self._time_left is not None else None
        if step < steps and now - self._progress_time < PROGRESS_SECONDS:
            return
        self._progress_time = now
        progress = event_pb2.TrainingProgress(
            epoch=epoch, step=step, steps=steps, loss=loss, images_per_second=samples_per_second
        )
        if self._time_left is not None and left is not None:
            progress.elapsed_seconds = now - self._time_left.began
            if left.seconds is not None and left.epoch_seconds is not None:
                progress.seconds_left, progress.epoch_seconds_left = left.seconds, left.epoch_seconds
        self._spool.append(run_pb2.RunEvent(progress=progress), durable=False)

    def metrics(
        self,
        epoch: int,
        step: int,
        loss: float | None,
        accuracy: float | None,
        learning_rate: float | None,
        extra: Mapping[str, float],
    ) -> None:
        """Tell the metrics of an epoch, which end it. What is not finite has no value and is left unset."""
        if self._time_left is not None:
            self._time_left.epoch_done(epoch, time.monotonic())
        point = event_pb2.MetricPoint(
            epoch=epoch,
            step=step,
            loss=_finite(loss),
            accuracy=_finite(accuracy),
            learning_rate=_finite(learning_rate),
            extra_metrics=_finite_values(extra),
        )
        point.time.GetCurrentTime()
        self._spool.append(run_pb2.RunEvent(time=point.time, metric=point))

    def validation(self, epoch: int, summary: Mapping[str, Any]) -> None:
        """Tell what a validation found.

        ``summary`` has, each where the task has it: ``per_class`` (mappings with precision, recall, f1, support, and
        label or label_id; of objects ap50 and ap50_95 too), ``confusion_matrix`` (images by [true class][predicted
        class], or objects with one more row and column for none), ``metrics`` (by name) and
        ``images`` (mappings with path, label_id, predictions as pairs of label_id and confidence, the most likely
        first, and loss), which go with the checkpoint of the epoch. Of objects an image has path, width and height in
        pixels and ``objects``, each as the parts of ``storage.objects.object_images.ObjectMatch`` in their order.
        ``class_names`` are those that label ids of images mean, where they are not the dataset's.
        """
        images = summary.get("images")
        if images is not None:
            self._validation_files.write(epoch, images, summary.get("class_names"))
        matrix = summary.get("confusion_matrix") or []
        if len(matrix) > MAX_CONFUSION_CLASSES:
            matrix = []
        result = event_pb2.ValidationResult(
            epoch=epoch,
            classes=[self._class_score(index, item) for index, item in enumerate(summary.get("per_class") or [])],
            confusion_matrix=[event_pb2.ConfusionRow(counts=row) for row in matrix],
            metrics=_finite_values(summary.get("metrics") or {}),
        )
        self._spool.append(run_pb2.RunEvent(validation=result))

    def checkpoint(self, epoch: int, folder: Path, is_best: bool, metrics: Mapping[str, float]) -> None:
        """Hand a finished checkpoint folder over to the agent, which removes it once it is in the object store.

        Each checkpoint needs a folder of its own. Raises ValueError when it is not inside the run folder.
        """
        relative = folder.resolve().relative_to(self._folder.path.resolve())
        checkpoint = run_pb2.LocalCheckpoint(
            epoch=epoch,
            folder=relative.as_posix(),
            is_best=is_best,
            metrics=_finite_values(metrics),
            validation_images=self._validation_files.hand_over(epoch),
        )
        self._spool.append(run_pb2.RunEvent(local_checkpoint=checkpoint), numbered=False)

    def log(self, level: str, message: str) -> None:
        """Tell a message, line by line; ``level`` is debug, info, warning or error."""
        for line in message.splitlines():
            entry = event_pb2.LogLine(
                level=_LEVELS[level.lower()], message=line[:MAX_LINE_CHARACTERS], source="training"
            )
            entry.time.GetCurrentTime()
            self._spool.append(run_pb2.RunEvent(time=entry.time, log=entry), durable=False)

    def should_stop(self) -> bool:
        """Whether the run was asked to stop; costs one look at the file system."""
        self._stop = self._stop or self._folder.stop_requested()
        return self._stop

    def request_stop(self) -> None:
        """Make ``should_stop`` answer True from now on. Safe in a signal handler."""
        self._stop = True

    def end(self, end: run_pb2.RunEnd) -> None:
        """Tell how the training ended. It stays in the run folder: the agent tells the end of the run."""
        self._spool.append(run_pb2.RunEvent(end=end), numbered=False)

    def _class_score(self, index: int, item: Mapping[str, Any]) -> event_pb2.ClassScore:
        label = item.get("label")
        score = event_pb2.ClassScore(
            label=self._class_names[int(item.get("label_id", index))] if label is None else str(label),
            precision=float(item["precision"]),
            recall=float(item["recall"]),
            f1=float(item["f1"]),
            support=int(item["support"]),
        )
        for name in ("ap50", "ap50_95"):
            if name in item:
                setattr(score, name, float(item[name]))
        return score


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _finite_values(values: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}
