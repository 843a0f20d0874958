"""Turning whatever an image file holds into an upright 8-bit RGB image: the same for training, prediction, previews."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps


def upright_rgb(image: Image.Image) -> Image.Image:
    """Turn the image as its EXIF orientation says and convert it to 8-bit RGB.

    Greyscale of more than 8 bits is scaled down instead of clipped, and transparency is laid over white.
    """
    upright = _eight_bit(ImageOps.exif_transpose(image))
    if upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return upright.convert("RGB")


def small_upright_rgb(image: Image.Image, side: int) -> Image.Image:
    """The same, made smaller until its longer side is at most ``side`` pixels; one that is smaller stays as it is.

    ``image`` comes fresh from ``Image.open``: of a large JPEG only as much is decoded as the small one needs.
    """
    width, height = image.size
    if max(width, height) > side and image.format == "JPEG":
        # The decoder halves as often as it can without falling below what is asked for.
        scale = side / max(width, height)
        image.draft(None, (max(1, round(width * scale)), max(1, round(height * scale))))
    if image.mode in _RESIZABLE and "transparency" not in image.info:
        image.load()
        return upright_rgb(_at_most(image, side))
    return _at_most(upright_rgb(image), side)


# Modes whose pixels can be averaged before they are converted.
_RESIZABLE = ("RGB", "L", "CMYK", "RGBA", "LA")


def _at_most(image: Image.Image, side: int) -> Image.Image:
    longer = max(image.size)
    if longer <= side:
        return image
    width, height = (max(1, round(length * side / longer)) for length in image.size)
    # Averaging by whole numbers first costs a fraction, and is seen by nobody from a gap of 3 on.
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        # No range is defined for 32 bits: stretch what the image holds.
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        low, high = float(values.min()), float(values.max())
        return Image.fromarray(((values - low) * (255.0 / max(high - low, 1e-12))).round().astype(np.uint8))
    return image
