"""Samples on disk as batches of tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

from trainer.adapter import BadTrainingData, Sample
from trainer_timm.images import read_image
from trainer_timm.transforms import ImageTransform

Batch = tuple[torch.Tensor, torch.Tensor]

CACHE_BYTES = 256 * 1024**2
# Files of so many bytes together are read in this process; more are worth worker processes beside an accelerator.
SMALL_DATASET_BYTES = 64 * 1024**2
MOST_WORKERS = 8
# Pillow stores an RGB pixel in four bytes.
_BYTES_PER_PIXEL = 4


class DecodedImages:
    """Decoded images of a dataset, the first that fit into ``limit_bytes``; the rest is decoded anew each epoch.

    Nothing is evicted: every epoch visits every image once, so that the least recently used is always the next.
    """

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self._root = root
        self._free_bytes = limit_bytes
        self._images: dict[str, Image.Image] = {}

    def __getitem__(self, path: str) -> Image.Image:
        """Return the upright RGB image, which the caller must not change. Raises BadTrainingData."""
        found = self._images.get(path)
        if found is not None:
            return found
        image = read_image(self._root, path)
        size = image.width * image.height * _BYTES_PER_PIXEL
        if size <= self._free_bytes:
            self._free_bytes -= size
            self._images[path] = image
        return image

    def __len__(self) -> int:
        """Return how many images are in memory."""
        return len(self._images)


class SampleImages(Dataset[tuple[torch.Tensor, int]]):
    """Image and label of each sample: float32, (3, S, S), and the label's id."""

    def __init__(self, images: DecodedImages, samples: Sequence[Sample], transform: ImageTransform) -> None:
        self._images = images
        self._samples = list(samples)
        self._transform = transform

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def label_ids(self) -> list[int]:
        """The label of each sample."""
        return [sample.label_id for sample in self._samples]

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        sample = self._samples[index]
        return self._transform(self._images[sample.path]), sample.label_id


@dataclass(frozen=True)
class LoadingPlan:
    """How batches come to be: ``workers`` processes (0: this one), ``cache_bytes`` of decoded images in each."""

    workers: int
    cache_bytes: int
    pin_memory: bool


def plan_loading(
    root: Path, samples: Iterable[Sample], device: torch.device, threads: int, workers: int = -1
) -> LoadingPlan:
    """Choose in-process loading with a cache, or workers when an accelerator would wait for a big dataset.

    ``workers`` of 0 or more decide it. Else the choice depends on the dataset and the specification alone, so that a
    resumed training repeats it.
    Raises BadTrainingData when a file is missing.
    """
    stored = sum(_file_size(root, sample.path) for sample in samples)
    if workers >= 0:
        cache_bytes = CACHE_BYTES if workers == 0 else 0
        return LoadingPlan(workers=workers, cache_bytes=cache_bytes, pin_memory=device.type != "cpu")
    if device.type == "cpu":
        # The cores compute already: workers would only take turns with them.
        return LoadingPlan(workers=0, cache_bytes=CACHE_BYTES, pin_memory=False)
    if stored <= SMALL_DATASET_BYTES:
        return LoadingPlan(workers=0, cache_bytes=CACHE_BYTES, pin_memory=True)
    # A worker lives for one epoch and sees each image once: nothing to cache for.
    return LoadingPlan(workers=min(max(1, threads), MOST_WORKERS), cache_bytes=0, pin_memory=True)


def training_loader(
    images: SampleImages,
    batch_size: int,
    generator: torch.Generator | None,
    plan: LoadingPlan,
    balanced: bool = False,
) -> DataLoader[Batch]:
    """Return shuffled batches: images float32 (N, 3, S, S), label ids int64 (N,); ``images`` holds at least two.

    ``balanced`` draws as many images with repeats, each class as often as the others.
    """
    sampler = _balanced_sampler(images.label_ids, generator) if balanced else None
    return DataLoader(
        images,  # type: ignore[arg-type]
        batch_size=batch_size,
        shuffle=sampler is None,
        sampler=sampler,
        generator=generator,
        # Batch normalisation has no statistics for a batch of one.
        drop_last=batch_size > 1 and len(images) % batch_size == 1,
        num_workers=plan.workers,
        pin_memory=plan.pin_memory,
    )


def evaluation_loader(images: SampleImages, batch_size: int, plan: LoadingPlan) -> DataLoader[Batch]:
    """Return batches in the samples' order, the last one as small as it falls out."""
    return DataLoader(
        images,  # type: ignore[arg-type]
        batch_size=batch_size,
        num_workers=plan.workers,
        pin_memory=plan.pin_memory,
    )


def read_batches(loader: DataLoader[Batch]) -> Iterator[Batch]:
    """Yield the loader's batches. Raises BadTrainingData in its own words, also when a worker raised it."""
    try:
        yield from loader
    except BadTrainingData as error:
        # A worker's error arrives as the text of its traceback, which ends with the class and the sentence.
        sentence = str(error).strip().splitlines()[-1].removeprefix(f"{BadTrainingData.__module__}.BadTrainingData: ")
        raise BadTrainingData(sentence) from error


def _balanced_sampler(label_ids: list[int], generator: torch.Generator | None) -> WeightedRandomSampler:
    labels = torch.tensor(label_ids)
    weights = 1.0 / torch.bincount(labels)[labels].double()
    return WeightedRandomSampler(weights.tolist(), len(label_ids), generator=generator)


def _file_size(root: Path, path: str) -> int:
    try:
        return (root / path).stat().st_size
    except OSError as error:
        raise BadTrainingData(f"{path} cannot be read as an image: it is missing.") from error
