"""Samples on disk as a torch dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch.utils.data import DataLoader, Dataset

from trainer.adapter import BadTrainingData, Sample
from trainer_timm.transforms import ImageTransform

Batch = tuple[torch.Tensor, torch.Tensor]


def upright_rgb(image: Image.Image) -> Image.Image:
    """Turn the image as its EXIF orientation says, then convert it to RGB."""
    return ImageOps.exif_transpose(image).convert("RGB")


class SampleImages(Dataset[tuple[torch.Tensor, int]]):
    """Image and label of each sample: float32, (3, S, S), and the label's id."""

    def __init__(self, root: Path, samples: Sequence[Sample], transform: ImageTransform) -> None:
        self._root = root
        self._samples = list(samples)
        self._transform = transform

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Decode and transform one sample. Raises BadTrainingData when the file is not a readable image."""
        sample = self._samples[index]
        try:
            with Image.open(self._root / sample.path) as image:
                rgb = upright_rgb(image)
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise BadTrainingData(f"{sample.path} cannot be read as an image: {error}") from error
        return self._transform(rgb), sample.label_id


def training_loader(
    images: SampleImages, batch_size: int, generator: torch.Generator | None, device: torch.device
) -> DataLoader[Batch]:
    """Return shuffled batches: images float32 (N, 3, S, S), label ids int64 (N,)."""
    return DataLoader(
        images,  # type: ignore[arg-type]
        batch_size=batch_size,
        shuffle=True,
        generator=generator,
        # Batch normalisation has no statistics for a batch of one.
        drop_last=batch_size > 1 and len(images) % batch_size == 1 and len(images) > 1,
        pin_memory=device.type == "cuda",
    )


def evaluation_loader(images: SampleImages, batch_size: int, device: torch.device) -> DataLoader[Batch]:
    """Return batches in the samples' order, the last one as small as it falls out."""
    return DataLoader(images, batch_size=batch_size, pin_memory=device.type == "cuda")  # type: ignore[arg-type]
