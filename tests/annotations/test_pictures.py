"""Small upright pictures of large files."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from annotations.pictures import small_upright_rgb


def opened(image: Image.Image, format: str, **options: object) -> Image.Image:
    file = io.BytesIO()
    image.save(file, format, **options)
    return Image.open(io.BytesIO(file.getvalue()))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_large_image_becomes_small_and_upright(format: str, orientation: int) -> None:
    stored = Image.new("RGB", (1200, 800), "black")
    stored.paste("white", (0, 0, 600, 400))  # the corner that is stored first
    exif = Image.Exif()
    exif[0x0112] = orientation
    small = small_upright_rgb(opened(stored, format, exif=exif), 120)
    assert small.mode == "RGB"
    assert small.size == ((120, 80) if orientation <= 4 else (80, 120))
    pixels = np.asarray(small).mean(axis=2)
    height, width = pixels.shape
    corners = {
        "top left": pixels[: height // 3, : width // 3].mean(),
        "top right": pixels[: height // 3, -width // 3 :].mean(),
        "bottom left": pixels[-height // 3 :, : width // 3].mean(),
        "bottom right": pixels[-height // 3 :, -width // 3 :].mean(),
    }
    # Where EXIF says that the first stored corner is.
    place = {1: "top left", 2: "top right", 3: "bottom right", 4: "bottom left"}
    place |= {5: "top left", 6: "top right", 7: "bottom right", 8: "bottom left"}
    assert max(corners, key=lambda name: corners[name]) == place[orientation]


def test_of_a_large_jpeg_only_a_part_is_decoded() -> None:
    image = opened(Image.effect_noise((2000, 1500), 50), "JPEG")
    assert small_upright_rgb(image, 100).size == (100, 75)
    assert max(image.size) <= 250  # an eighth


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "LA", "P", "1", "I;16", "I", "F"])
def test_every_mode_is_made_small(mode: str) -> None:
    source = Image.new("RGB", (300, 200), (200, 200, 200))
    image = Image.fromarray(np.full((200, 300), 200 << 8, dtype=np.uint16)) if mode == "I;16" else source.convert(mode)
    small = small_upright_rgb(opened(image, "TIFF"), 30)
    assert (small.mode, small.size) == ("RGB", (30, 20))


def test_a_small_image_stays_as_it_is() -> None:
    image = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    assert (np.asarray(small_upright_rgb(opened(image, "PNG"), 100)) == np.asarray(image)).all()


def test_a_transparent_colour_does_not_bleed_when_the_image_shrinks() -> None:
    image = Image.new("P", (100, 100), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(1, (50, 0, 100, 100))
    small = np.asarray(small_upright_rgb(opened(image, "PNG", transparency=0), 10))
    # But for what a good filter adds beside an edge.
    assert (small[:, :4] >= 250).all() and (np.abs(small[:, 6:].astype(int) - (0, 0, 255)) <= 5).all()
