"""What a validation said of single images, on its way to the agent: a file in the run folder.

``validation-images/epoch-N.jsonl.gz`` is written when the epoch is validated, and handed over with the checkpoint of
that epoch. One whose epoch gets no checkpoint goes when the next epoch is validated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from storage.objects import validation_images
from storage.objects.object_images import ObjectImage, ObjectMatch
from storage.objects.validation_images import TOP_PREDICTIONS, ValidationImage
from trainer.runs.files import write_whole

FOLDER = "validation-images"


class ValidationFiles:
    """The files of one training under ``run_folder``."""

    def __init__(self, run_folder: Path, class_names: Sequence[str]) -> None:
        self._run_folder = run_folder
        self._class_names = class_names
        self._epoch = 0
        self._waiting: Path | None = None

    def write(self, epoch: int, images: Iterable[Mapping[str, Any]], class_names: Sequence[str] | None = None) -> None:
        """Write an epoch's file, durable on return; ``images`` and ``class_names`` as ``SpoolReporter.validation`` has
        them.

        Raises ValueError when one is not as the format wants it.
        """
        if self._waiting is not None:
            self._waiting.unlink(missing_ok=True)
        path = self._run_folder / FOLDER / f"epoch-{epoch}.jsonl.gz"
        path.parent.mkdir(exist_ok=True)
        write_whole(path, validation_images.encode(epoch, class_names or self._class_names, map(_image, images)))
        self._epoch, self._waiting = epoch, path

    def hand_over(self, epoch: int) -> str:
        """The file of the epoch whose checkpoint is told, relative to the run folder; empty: there is none."""
        if self._waiting is None or self._epoch != epoch:
            return ""
        path, self._waiting = self._waiting, None
        return path.relative_to(self._run_folder).as_posix()


def _image(item: Mapping[str, Any]) -> ValidationImage | ObjectImage:
    if "objects" in item:
        objects = tuple(ObjectMatch(*found) for found in item["objects"])
        return ObjectImage(str(item["path"]), int(item["width"]), int(item["height"]), objects)
    predictions = tuple((int(label), float(confidence)) for label, confidence in item["predictions"])
    return ValidationImage(
        path=str(item["path"]),
        label_id=int(item["label_id"]),
        predictions=predictions[:TOP_PREDICTIONS],
        loss=float(item["loss"]),
    )
