"""scikit-learn's handwritten digits as JSON for grpcurl: the messages of an upload, or one image in base64.

python examples/digits_json.py | grpcurl … -d @ … visionmesh.v1.DatasetService/UploadDataset
python examples/digits_json.py --scenes 30 | grpcurl … -d @ … visionmesh.v1.DatasetService/UploadDataset
python examples/digits_json.py --image 7
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from sklearn.datasets import load_digits

# Started as a script, this knows only its own folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from examples.digit_scenes import write_scenes

SIDE = 32
CHUNK_BYTES = 1 << 20


def png(pixels: Any) -> bytes:
    """Encode 8 × 8 grey values of 0 to 16 as a PNG of 32 × 32."""
    image = Image.fromarray((pixels * (255 / 16)).astype("uint8")).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()


def messages(images: int) -> Iterator[dict[str, Any]]:
    """What ``UploadDataset`` takes: what to make, then each file's header and bytes."""
    yield {"spec": {"name": "digits", "format": "DATASET_FORMAT_IMAGE_FOLDER", "val_fraction": 0.2}}
    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images[:images], digits.target, strict=False)):
        yield from _file(f"{label}/{number:04}.png", png(pixels))


def scene_messages(scenes: int) -> Iterator[dict[str, Any]]:
    """The same for scenes of several digits with a box around each, every fifth one to validate on."""
    yield {"spec": {"name": "scenes", "format": "DATASET_FORMAT_DICE"}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        val = max(1, scenes // 5)
        write_scenes(folder, {"train": scenes - val, "val": val})
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            yield from _file(path.relative_to(folder).as_posix(), path.read_bytes())


def _file(path: str, data: bytes) -> Iterator[dict[str, Any]]:
    yield {"header": {"path": path, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}}
    for start in range(0, len(data), CHUNK_BYTES):
        yield {"chunk": base64.b64encode(data[start : start + CHUNK_BYTES]).decode()}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1797, help="how many of the 1,797 to upload [all]")
    parser.add_argument("--scenes", type=int, metavar="COUNT", help="upload so many scenes of several digits instead")
    parser.add_argument("--image", type=int, metavar="NUMBER", help="print this image alone, in base64")
    options = parser.parse_args(arguments)
    if options.image is not None:
        print(base64.b64encode(png(load_digits().images[options.image])).decode())
    else:
        chosen = messages(options.images) if options.scenes is None else scene_messages(options.scenes)
        for message in chosen:
            print(json.dumps(message))
    return 0


if __name__ == "__main__":
    sys.exit(main())
