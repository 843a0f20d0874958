"""ultralytics' datasets over labels that are in memory: nothing is scanned, cached or repaired on disk."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from ultralytics.data.augment import classify_augmentations, classify_transforms
from ultralytics.data.dataset import YOLODataset
from ultralytics.models.rtdetr.val import RTDETRDataset
from ultralytics.utils.patches import imread

from trainer.adapter import BadTrainingData, Sample
from trainer_yolo.labels import Label

# ultralytics takes a file of this name beside an image for its decoded pixels; there is none.
_NO_FILE = Path("/nonexistent/image.npy")


class LabelledImages(YOLODataset):
    """Images with labels, which stand in the place of ``img_path``."""

    def get_img_files(self, img_path: Sequence[Label]) -> list[str]:
        """The paths of the images."""
        self._given = list(img_path)
        return [label["im_file"] for label in self._given]

    def get_labels(self) -> list[Label]:
        """The labels, which ultralytics changes as it likes."""
        labels = deepcopy(self._given)
        self._sizes = {label["im_file"]: tuple(label["shape"]) for label in labels}
        return labels

    def load_image(self, i: int, *arguments: Any, **options: Any) -> Any:
        """Return pixels (H, W, 3; BGR), and height and width before and after resizing. Raises BadTrainingData."""
        self.npy_files[i] = _NO_FILE
        file = self.im_files[i]
        try:
            image, original, resized = super().load_image(i, *arguments, **options)
        except (FileNotFoundError, cv2.error) as error:
            raise BadTrainingData(f"{Path(file).name} cannot be read as an image.") from error
        if tuple(original) != self._sizes[file]:
            height, width = self._sizes[file]
            raise BadTrainingData(
                f"{Path(file).name} has {original[1]}×{original[0]} pixels, its annotations are for {width}×{height}."
            )
        return image, original, resized

    def forget(self) -> None:
        """Drop the images that were kept to make mosaics of, so that an epoch depends on none before it."""
        self.buffer.clear()
        if isinstance(self.ims, list):
            for kept in (self.ims, self.im_hw0, self.im_hw):
                kept[:] = [None] * len(kept)


class StretchedImages(LabelledImages, RTDETRDataset):
    """The same for RT-DETR, which stretches images to squares."""

    def load_image(self, i: int, rect_mode: bool = False) -> Any:
        """As above, stretched."""
        return super().load_image(i, rect_mode=rect_mode)


class ClassifiedImages:
    """Images with one label each, as ultralytics prepares them for a classifier: float32 (3, S, S) in [0, 1]."""

    def __init__(self, root: Path, samples: Sequence[Sample], arguments: Any, *, augment: bool) -> None:
        self._root = root
        self.samples = list(samples)
        self.torch_transforms = _augmentations(arguments) if augment else classify_transforms(size=arguments.imgsz)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The image, its label's id and its own place. Raises BadTrainingData."""
        sample = self.samples[index]
        pixels = imread(str(self._root / sample.path), flags=cv2.IMREAD_COLOR)
        if pixels is None:
            raise BadTrainingData(f"{sample.path} cannot be read as an image.")
        image = Image.fromarray(np.ascontiguousarray(pixels[..., ::-1]))
        return {"img": self.torch_transforms(image), "cls": sample.label_id, "index": index}

    def forget(self) -> None:
        """There is nothing to forget."""


def _augmentations(arguments: Any) -> Any:
    return classify_augmentations(
        size=arguments.imgsz,
        scale=(1.0 - arguments.scale, 1.0),
        hflip=arguments.fliplr,
        vflip=arguments.flipud,
        erasing=arguments.erasing,
        auto_augment=arguments.auto_augment,
        hsv_h=arguments.hsv_h,
        hsv_s=arguments.hsv_s,
        hsv_v=arguments.hsv_v,
    )
