"""From a dataset on local disk to what a training sees of it."""

from __future__ import annotations

from contextlib import ExitStack

from trainer.adapter import BadTrainingData, TrainingDataset
from trainer.cache.datasets import DatasetCache
from trainer.views.counts import ViewCounts
from trainer.views.crops import VERSION, Progress, read_crops, write_crops
from trainer.views.image_labels import label_images

CROPS = "CROPS"
IMAGE_LABELS = "IMAGE_LABELS"
VIEWS = (CROPS, IMAGE_LABELS)

MIN_CLASSES = 2


def open_view(
    view: str,
    dataset: TrainingDataset,
    manifest_digest: str,
    cache: DatasetCache,
    in_use: ExitStack,
    *,
    threads: int,
    progress: Progress | None,
) -> TrainingDataset:
    """Look at a dataset as ``view`` says; its class names stay. What is made for it stays until ``in_use`` is left.

    Crops are cut out once for all jobs that train on them; ``progress`` hears of the images done and the images in all.
    Raises BadTrainingData when the dataset has no objects, or the view leaves too little to learn from; ValueError when
    the annotations make no sense.
    """
    if dataset.annotations is None:
        raise BadTrainingData(f"{view} needs images that carry objects; this dataset has labels of whole images only.")
    if view == CROPS:
        folder = in_use.enter_context(
            cache.derived(
                manifest_digest,
                f"{CROPS} {VERSION}",
                lambda folder: write_crops(dataset, folder, threads, progress),
            )
        )
        seen, counts = read_crops(folder, dataset.class_names)
        _check(seen, view, {split: _crops_left(counts, split) for split in ("train", "val")})
        return seen
    if view == IMAGE_LABELS:
        seen, counts = label_images(dataset)
        _check(seen, view, {split: _labels_left(counts, split) for split in ("train", "val")})
        return seen
    raise ValueError(f"{view!r} is no view; there are {', '.join(VIEWS)}")


def _check(seen: TrainingDataset, view: str, left: dict[str, str]) -> None:
    train = seen.split("train")
    if not train:
        raise BadTrainingData(f"Seen as {view}, the train split has no images. {left['train']}")
    if len({sample.label_id for sample in train}) < MIN_CLASSES:
        only = seen.class_names[train[0].label_id]
        raise BadTrainingData(
            f"Seen as {view}, every image of the train split is of class {only}: there is nothing to tell apart. "
            f"{left['train']}"
        )
    if not seen.split("val"):
        raise BadTrainingData(f"Seen as {view}, the val split has no images; every epoch is validated. {left['val']}")


def _crops_left(counts: ViewCounts, split: str) -> str:
    objects, crowds, kept = (counts.get(split, name) for name in ("objects", "crowds", "kept"))
    return (
        f"Of the {objects} objects of {split}, {crowds} are crowds and {objects - crowds - kept} have less than two "
        "pixels a side inside their image."
    )


def _labels_left(counts: ViewCounts, split: str) -> str:
    images, none, several = (counts.get(split, name) for name in ("images", "without objects", "of several classes"))
    return f"Of the {images} images of {split}, {none} have no objects and {several} have objects of several classes."
