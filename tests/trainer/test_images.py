"""Image files are decoded without trusting them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

from rpc.errors import DomainError
from trainer.images import FORMATS, decode_image

LIMIT = 1_000_000
ORIENTATION = 0x0112


def encode(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def refusal(data: bytes, max_pixels: int = LIMIT) -> DomainError:
    with pytest.raises(DomainError) as caught:
        decode_image(data, max_pixels)
    return caught.value


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_of_the_contract_is_read(format: str) -> None:
    image = decode_image(encode(Image.new("RGB", (40, 30), (200, 10, 10)), format), LIMIT)

    assert image.size == (40, 30)
    red, green, blue = np.asarray(image.convert("RGB"))[15, 20].tolist()
    assert red > 180 and green < 40 and blue < 40


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_one_pixel_of_any_mode_is_an_image(mode: str) -> None:
    assert decode_image(encode(Image.new(mode, (1, 1)), "PNG"), LIMIT).size == (1, 1)


@pytest.mark.parametrize("data", [b"", b"hello", b"\0" * 1000, b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a"])
def test_what_is_no_image_is_unreadable(data: bytes) -> None:
    assert refusal(data).reason == "IMAGE_UNREADABLE"


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_cut_short_is_unreadable(format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = encode(Image.fromarray(noise), format)

    assert refusal(whole[: len(whole) // 2]).reason == "IMAGE_UNREADABLE"


@pytest.mark.parametrize("format", ["ICO", "PPM", "TGA", "PCX"])
def test_other_formats_are_refused(format: str) -> None:
    error = refusal(encode(Image.new("RGB", (32, 32)), format))

    assert error.reason == "IMAGE_UNREADABLE"
    assert "JPEG" in error.message


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [1001, 9_600, 12_000, 30_000])
def test_an_image_that_is_too_large_is_refused_before_it_is_decoded(side: int) -> None:
    # Its pixels do not exist: decoding would find the file cut short.
    error = refusal(png_that_claims(side, side))

    assert error.reason == "IMAGE_TOO_LARGE"
    assert error.metadata["max_image_pixels"] == str(LIMIT)


def test_the_limit_itself_is_allowed() -> None:
    data = encode(Image.new("L", (50, 20)), "PNG")

    assert decode_image(data, 1000).size == (50, 20)
    assert "50×20 pixels; at most 999" in refusal(data, 999).message


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_image_is_turned_as_its_orientation_says_and_only_once(format: str, orientation: int) -> None:
    upright = Image.new("L", (48, 32), 0)
    upright.paste(255, (0, 0, 24, 16))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = _store_as(upright, orientation)
    decoded = decode_image(encode(stored.convert("RGB"), format, exif=exif), LIMIT)

    assert decoded.size == (48, 32)
    brightness = np.asarray(decoded.convert("L")).astype(int)
    assert brightness[8, 12] > 200 and brightness[8, 36] < 50 and brightness[24, 12] < 50
    # A trainer may apply the orientation as well: none must be left.
    assert ImageOps.exif_transpose(decoded).size == decoded.size


def _store_as(upright: Image.Image, orientation: int) -> Image.Image:
    """Return the image as a camera stores it that asks for ``orientation`` to be applied."""
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    return upright.transpose(back[orientation]) if orientation in back else upright


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("exif", [b"Exif\0\0not a TIFF", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"x"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_metadata_does_not_spoil_good_pixels(format: str, exif: bytes) -> None:
    decoded = decode_image(encode(Image.new("RGB", (8, 4)), format, exif=exif), LIMIT)

    assert decoded.size == (8, 4)
    assert ImageOps.exif_transpose(decoded).size == (8, 4)


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (16, 16), color) for color in ("white", "black")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])

    assert decode_image(data, LIMIT).convert("L").getpixel((8, 8)) == 255


def test_nothing_global_is_changed() -> None:
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    refusal(png_that_claims(30_000, 30_000))

    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


SEEDS = [encode(Image.new("RGB", (24, 24), (90, 160, 20)), format) for format in FORMATS]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=8))
@pytest.mark.filterwarnings("ignore")
def test_damaged_files_are_decoded_or_refused_and_nothing_else(seed: bytes, damage: list[tuple[int, int]]) -> None:
    data = bytearray(seed)
    for position, value in damage:
        data[position % len(data)] = value
    try:
        image = decode_image(bytes(data), LIMIT)
    except DomainError as error:
        assert error.reason in ("IMAGE_UNREADABLE", "IMAGE_TOO_LARGE")
    else:
        assert image.width * image.height <= LIMIT
