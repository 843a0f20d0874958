"""Image files of a dataset as training reads them."""

from __future__ import annotations

import struct
from pathlib import Path

from PIL import Image

from annotations.pictures import upright_rgb
from trainer.adapter import BadTrainingData

# What Pillow's decoders are known to raise on broken or hostile files.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


def read_image(root: Path, path: str) -> Image.Image:
    """Decode ``root/path`` to upright RGB. Raises BadTrainingData naming the file when it cannot be read."""
    try:
        with Image.open(root / path) as image:
            return upright_rgb(image)
    except _UNREADABLE as error:
        # Pillow's own words may hold the absolute path, which means nothing to the reader.
        reason = "it is missing" if isinstance(error, FileNotFoundError) else type(error).__name__
        raise BadTrainingData(f"{path} cannot be read as an image: {reason}.") from error
