"""Files of any kind become upright 8-bit RGB."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotations.pictures import upright_rgb
from trainer_timm.images import read_image


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


@pytest.mark.parametrize("name", ["ink.jpg", "ink.tif"])
def test_printing_inks_give_the_colours_they_print(name: str, tmp_path: Path) -> None:
    # JPEGs of inks are stored inverted by the programs that make them; the marker that says so is Adobe's.
    inks = (0, 102, 204, 51)
    Image.new("CMYK", (16, 16), inks).save(tmp_path / name, quality=100)
    *colours, black = (1 - ink / 255 for ink in inks)
    expected = [255 * colour * black for colour in colours]
    assert np.asarray(read_image(tmp_path, name))[8, 8] == pytest.approx(expected, abs=2)


def png(width: int, height: int, color_type: int, rows: bytes) -> bytes:
    """A PNG of 16 bits a channel, which Pillow reads and does not write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("color_type", "pixel", "expected"),
    [
        (0, (32768,), (128, 128, 128)),
        (2, (65535, 32768, 256), (255, 128, 1)),
        (4, (32768, 65535), (128, 128, 128)),
        (6, (65535, 32768, 256, 65535), (255, 128, 1)),
        (6, (0, 0, 0, 0), (255, 255, 255)),
    ],
    ids=["L", "RGB", "LA", "RGBA", "clear"],
)
def test_a_png_of_16_bits_equals_the_same_of_8_bits(
    color_type: int, pixel: tuple[int, ...], expected: tuple[int, int, int], tmp_path: Path
) -> None:
    row = b"\0" + struct.pack(f">{len(pixel)}H", *pixel)
    (tmp_path / "deep.png").write_bytes(png(1, 1, color_type, row))
    assert read_image(tmp_path, "deep.png").getpixel((0, 0)) == expected


def test_greyscale_with_transparency_and_big_endian_depth(tmp_path: Path) -> None:
    Image.new("LA", (1, 1), (0, 128)).save(tmp_path / "half.png")
    assert read_image(tmp_path, "half.png").getpixel((0, 0)) == (127, 127, 127)
    Image.frombytes("I;16B", (2, 1), struct.pack(">2H", 512, 65535)).save(tmp_path / "deep.tif")
    assert np.asarray(read_image(tmp_path, "deep.tif"))[0, :, 0].tolist() == [2, 255]
