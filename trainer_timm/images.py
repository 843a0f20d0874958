"""Turning whatever a file holds into an upright 8-bit RGB image, the same way in training and prediction."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from trainer.adapter import BadTrainingData

# What Pillow's decoders are known to raise on broken or hostile files.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


def upright_rgb(image: Image.Image) -> Image.Image:
    """Turn the image as its EXIF orientation says and convert it to 8-bit RGB.

    Greyscale of more than 8 bits is scaled down instead of clipped, and transparency is laid over white.
    """
    upright = _eight_bit(ImageOps.exif_transpose(image))
    if upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return upright.convert("RGB")


def read_image(root: Path, path: str) -> Image.Image:
    """Decode ``root/path`` to upright RGB. Raises BadTrainingData naming the file when it cannot be read."""
    try:
        with Image.open(root / path) as image:
            return upright_rgb(image)
    except _UNREADABLE as error:
        # Pillow's own words may hold the absolute path, which means nothing to the reader.
        reason = "it is missing" if isinstance(error, FileNotFoundError) else type(error).__name__
        raise BadTrainingData(f"{path} cannot be read as an image: {reason}.") from error


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        # No range is defined for 32 bits: stretch what the image holds.
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        low, high = float(values.min()), float(values.max())
        return Image.fromarray(((values - low) * (255.0 / max(high - low, 1e-12))).round().astype(np.uint8))
    return image
