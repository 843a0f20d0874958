"""Files that are less, or more, than the images they seem to be."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image


def cut_jpeg() -> bytes:
    """The first half of a JPEG."""
    encoded = io.BytesIO()
    Image.effect_noise((64, 64), 80).save(encoded, "JPEG", quality=95)
    data = encoded.getvalue()
    return data[: len(data) // 2]


def huge_png() -> bytes:
    """A PNG that claims 30,000 × 30,000 pixels, in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
