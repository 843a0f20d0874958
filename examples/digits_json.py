"""scikit-learn's handwritten digits as JSON for grpcurl: the messages of an upload, or one image in base64.

python examples/digits_json.py | grpcurl … -d @ … visionmesh.v1.DatasetService/UploadDataset
python examples/digits_json.py --image 7
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from PIL import Image
from sklearn.datasets import load_digits

SIDE = 32


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
        data = png(pixels)
        path, sha256 = f"{label}/{number:04}.png", hashlib.sha256(data).hexdigest()
        yield {"header": {"path": path, "size_bytes": len(data), "sha256": sha256}}
        yield {"chunk": base64.b64encode(data).decode()}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1797, help="how many of the 1,797 to upload [all]")
    parser.add_argument("--image", type=int, metavar="NUMBER", help="print this image alone, in base64")
    options = parser.parse_args(arguments)
    if options.image is not None:
        print(base64.b64encode(png(load_digits().images[options.image])).decode())
    else:
        for message in messages(options.images):
            print(json.dumps(message))
    return 0


if __name__ == "__main__":
    sys.exit(main())
