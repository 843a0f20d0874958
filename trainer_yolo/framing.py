"""From an image to what a model takes, as ultralytics' own predictors do it, and from there back to the image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torchvision import transforms
from ultralytics.data.augment import LetterBox, classify_transforms
from ultralytics.utils import ops

from annotations.pictures import upright_rgb

# Classification enlarges the shorter side; of an image that is longer than this many times its height, or higher than
# this many times its width, the middle is enough: all else is cropped away afterwards.
_LONGEST = 16


@dataclass(frozen=True)
class Framed:
    """An image made ready: ``pixels`` are uint8, (3, H, W), RGB; ``width`` and ``height`` those of the upright image.

    ``stretched`` says that it fills its frame whatever its shape; else it lies in the middle of it, its shape kept.
    """

    pixels: torch.Tensor
    width: int
    height: int
    stretched: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of what the model sees, in pixels."""
        return self.pixels.shape[1], self.pixels.shape[2]

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of the upright image."""
        return self.height, self.width

    def boxes_in_image(self, boxes: torch.Tensor, *, rotated: bool = False) -> torch.Tensor:
        """Boxes, (N, 4), from pixels of the frame to pixels of the image, clipped to it.

        They are x_min, y_min, x_max, y_max, or, when ``rotated``, centre, width and height, which are not clipped.
        """
        found: torch.Tensor = ops.scale_boxes(
            self.shape, boxes.clone(), self.image_shape, ratio_pad=self._stretching, xywh=rotated
        )
        return found

    def points_in_image(self, points: torch.Tensor) -> torch.Tensor:
        """Points, (…, 2 or more) with x and y first, from pixels of the frame to pixels of the image, clipped to it."""
        found: torch.Tensor = ops.scale_coords(self.shape, points.clone(), self.image_shape, ratio_pad=self._stretching)
        return found

    @property
    def _stretching(self) -> tuple[tuple[float, float], tuple[int, int]] | None:
        """Gains of y and x, and the padding there is none of; None lets ultralytics find those of its letterbox."""
        if not self.stretched:
            return None
        height, width = self.shape
        return (height / self.height, width / self.width), (0, 0)


# Called from several threads at once.
Framing = Callable[[Image.Image], Framed]


def letterboxed(image_size: int, stride: int, *, stretched: bool = False) -> Framing:
    """Shrink or enlarge an image until its longer side is ``image_size``; pad the other to a multiple of ``stride``.

    ``stretched`` images become squares of ``image_size`` instead.
    """
    box = LetterBox((image_size, image_size), auto=not stretched, scale_fill=stretched, stride=stride)

    def frame(image: Image.Image) -> Framed:
        upright = upright_rgb(image)
        pixels = box(image=np.asarray(upright))
        return Framed(_as_tensor(pixels), upright.width, upright.height, stretched)

    return frame


def cropped(image_size: int) -> Framing:
    """Shrink or enlarge an image until its shorter side is ``image_size``, and take the square in its middle."""
    resize, crop = classify_transforms(image_size).transforms[:2]
    resize_and_crop = transforms.Compose([resize, crop])

    def frame(image: Image.Image) -> Framed:
        upright = upright_rgb(image)
        pixels = np.asarray(resize_and_crop(_middle(upright)))
        return Framed(_as_tensor(pixels), upright.width, upright.height)

    return frame


def _middle(image: Image.Image) -> Image.Image:
    """The part of a very long image that classification sees, and some more; other images stay as they are."""
    width, height = image.size
    longest = _LONGEST * min(width, height)
    # An even number of pixels is cut off, so that the middle stays where it was.
    left, top = (max(0, length - longest) // 2 for length in (width, height))
    return image.crop((left, top, width - left, height - top)) if left or top else image


def _as_tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).contiguous()
