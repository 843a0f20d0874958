"""Image files that clients send, decoded without trusting them."""

from __future__ import annotations

import io

from PIL import Image, ImageOps, UnidentifiedImageError

from rpc.errors import DomainError

# Pillow reads many more; these are the ones of the contract, and their decoders are the best tested.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")

# Where Pillow looks for an orientation.
_ORIENTATION_KEYS = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")


def decode_image(data: bytes, max_pixels: int) -> Image.Image:
    """Decode an image file, the first frame when it has several, turned as its EXIF orientation says.

    The image keeps the mode of its file (RGB, L, P, …). Raises DomainError: IMAGE_UNREADABLE when the bytes are not a
    whole image of one of ``FORMATS``, IMAGE_TOO_LARGE when it has more than ``max_pixels``. The size is taken from
    the header, before any pixel is decoded.
    """
    if not data:
        raise DomainError("IMAGE_UNREADABLE", "The image is empty: no bytes were sent.")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise _too_large(f"{width}×{height} pixels", max_pixels)
            image.load()
            return upright(image)
    except DomainError:
        raise
    except UnidentifiedImageError as error:
        raise DomainError(
            "IMAGE_UNREADABLE", f"The bytes are not an image of one of these formats: {', '.join(FORMATS)}."
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # Pillow's own limit, which lies above any that the settings allow.
        raise _too_large("far more pixels", max_pixels) from error
    except Exception as error:  # decoders raise nearly anything on broken bytes: OSError, SyntaxError, struct.error, …
        raise DomainError(
            "IMAGE_UNREADABLE", "The image cannot be decoded: the file is damaged or cut short."
        ) from error


def _too_large(found: str, max_pixels: int) -> DomainError:
    return DomainError(
        "IMAGE_TOO_LARGE",
        f"The image has {found}; at most {max_pixels} pixels are allowed. Send a smaller one, or raise "
        "VISIONMESH_MAX_IMAGE_PIXELS on the trainer.",
        metadata={"setting": "VISIONMESH_MAX_IMAGE_PIXELS", "max_image_pixels": str(max_pixels)},
    )


def upright(image: Image.Image) -> Image.Image:
    """Turn the image as its EXIF orientation says, and drop what says so; its mode stays."""
    try:
        turned = ImageOps.exif_transpose(image)
    except Exception:  # metadata that cannot be parsed names no orientation; the pixels are good
        turned = image.copy()
    # Whoever asks for the orientation again gets none, and no error either.
    for key in _ORIENTATION_KEYS:
        turned.info.pop(key, None)
    return turned
