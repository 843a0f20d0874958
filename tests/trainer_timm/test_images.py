"""Files of any kind become upright 8-bit RGB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer_timm.images import read_image, upright_rgb


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 20), "black")
    image.paste("white", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn 90° clockwise to see it upright
    image.save(tmp_path / "turned.png", exif=exif)
    upright = read_image(tmp_path, "turned.png")
    assert upright.size == (20, 40)
    # The white left half is now the top one.
    assert upright.getpixel((10, 5)) == (255, 255, 255)
    assert upright.getpixel((10, 35)) == (0, 0, 0)


def test_damaged_exif_does_not_matter(tmp_path: Path) -> None:
    Image.new("RGB", (8, 4), "red").save(tmp_path / "a.jpg", exif=b"Exif\0\0neither II nor MM")
    assert read_image(tmp_path, "a.jpg").size == (8, 4)


def test_greyscale_of_16_bits_is_scaled_and_not_clipped(tmp_path: Path) -> None:
    values = np.array([[0, 256, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert np.asarray(read_image(tmp_path, "deep.png"))[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_32_bits_are_stretched_to_what_the_image_holds(dtype: type, tmp_path: Path) -> None:
    Image.fromarray(np.array([[-100, 0, 155]], dtype=dtype)).save(tmp_path / "deep.tif")
    assert np.asarray(read_image(tmp_path, "deep.tif"))[0, :, 1].tolist() == [0, 100, 255]
    flat = upright_rgb(Image.fromarray(np.full((2, 2), np.nan if dtype is np.float32 else 7, dtype=dtype)))
    assert np.asarray(flat).max() == 0


def test_transparency_lies_over_white() -> None:
    rgba = Image.new("RGBA", (1, 1), (0, 0, 0, 0))
    assert upright_rgb(rgba).getpixel((0, 0)) == (255, 255, 255)
    rgba.putpixel((0, 0), (0, 0, 0, 255))
    assert upright_rgb(rgba).getpixel((0, 0)) == (0, 0, 0)


def test_a_palette_gives_its_colours_and_its_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "opaque.png")
    opaque = read_image(tmp_path, "opaque.png")
    assert [opaque.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0), (0, 255, 0)]
    image.save(tmp_path / "clear.png", transparency=0)
    clear = read_image(tmp_path, "clear.png")
    assert [clear.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (0, 255, 0)]
