"""A dataset whose images carry objects, as the analysis leaves it in the store, and pictures for it."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from annotations.document import write_document
from annotations.model import AnnotatedImage, Category
from storage.objects import keys
from storage.objects.digest import sha256_bytes
from storage.objects.manifest import AnnotationsReference, Manifest, ManifestFile, digest
from storage.objects.store import ObjectStore

ORIENTATION = 0x0112


def put_object_dataset(
    store: ObjectStore,
    dataset_id: str,
    class_names: Sequence[str],
    images: Sequence[AnnotatedImage],
    files: Mapping[str, bytes],
) -> str:
    """Store files, annotations and manifest, in the analysis' order; gives the manifest's digest. Files without an
    image in ``images`` are of no split."""
    for path, data in files.items():
        store.put(keys.dataset_file(dataset_id, path), data)
    document = encode_document(class_names, images)
    store.put(keys.dataset_annotations(dataset_id), document)
    splits = {image.path: image.split for image in images}
    manifest = Manifest(
        dataset_id,
        "DICE",
        ("OBJECT_DETECTION",),
        tuple(class_names),
        tuple(
            ManifestFile(path, len(data), sha256_bytes(data), splits.get(path, ""), None)
            for path, data in files.items()
        ),
        AnnotationsReference(sha256_bytes(document), len(document)),
    )
    data = manifest.to_bytes()
    store.put(keys.manifest(dataset_id), data)
    return digest(data)


def encode_document(class_names: Sequence[str], images: Sequence[AnnotatedImage]) -> bytes:
    """The annotations as the store has them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "document"
        in_order = sorted(images, key=lambda image: image.path)
        write_document(path, [Category(name) for name in class_names], in_order, len(images))
        return path.read_bytes()


def encode(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    """An image's file."""
    encoded = io.BytesIO()
    image.save(encoded, file_format, **options)
    return encoded.getvalue()


def turned(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """The file of a camera held sideways: stored turned, with an orientation that turns it back."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # turn 90° clockwise to see it upright
    return encode(image.transpose(Image.Transpose.ROTATE_90), file_format, exif=exif, **options)
