"""Small real images, and upload messages that carry them."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Iterable, Iterator, Mapping

from PIL import Image

from visionmesh.v1 import dataset_pb2

Files = Mapping[str, bytes]


def picture(seed: int, format: str = "PNG", size: tuple[int, int] = (8, 8)) -> bytes:
    """A noisy image; another seed gives another one."""
    noise = random.Random(seed).randbytes(size[0] * size[1] * 3)
    file = io.BytesIO()
    Image.frombytes("RGB", size, noise).save(file, format)
    return file.getvalue()


def pets(train: int = 2, val: int = 1) -> dict[str, bytes]:
    """A good DICE dataset of cats and dogs, with so many images a class."""
    files: dict[str, bytes] = {}
    for split, count in (("train", train), ("val", val)):
        for label in ("cat", "dog"):
            for number in range(count):
                files[f"{split}/{label}/{number}.png"] = picture(len(files))
    return files


def spec(name: str = "pets", **fields: object) -> dataset_pb2.DatasetSpec:
    """A spec of the format DICE unless told otherwise."""
    fields = {"format": dataset_pb2.DATASET_FORMAT_DICE, **fields}
    return dataset_pb2.DatasetSpec(name=name, **fields)  # type: ignore[arg-type]


def header(path: str, data: bytes, **fields: object) -> dataset_pb2.FileHeader:
    """The true header of a file unless told otherwise."""
    fields = {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), **fields}
    return dataset_pb2.FileHeader(path=path, **fields)  # type: ignore[arg-type]


def chunks(data: bytes, size: int = 1 << 20) -> Iterator[bytes]:
    """The bytes in chunks."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def files_to(dataset_id: str, files: Files) -> Iterator[dataset_pb2.UploadFilesRequest]:
    """The messages of UploadFiles."""
    yield dataset_pb2.UploadFilesRequest(dataset_id=dataset_id)
    for path, data in files.items():
        yield dataset_pb2.UploadFilesRequest(header=header(path, data))
        yield from (dataset_pb2.UploadFilesRequest(chunk=chunk) for chunk in chunks(data))


def whole(what: dataset_pb2.DatasetSpec, files: Files) -> Iterator[dataset_pb2.UploadDatasetRequest]:
    """The messages of UploadDataset."""
    yield dataset_pb2.UploadDatasetRequest(spec=what)
    for path, data in files.items():
        yield dataset_pb2.UploadDatasetRequest(header=header(path, data))
        yield from (dataset_pb2.UploadDatasetRequest(chunk=chunk) for chunk in chunks(data))


def without(files: Files, paths: Iterable[str]) -> dict[str, bytes]:
    """The other files."""
    left_out = set(paths)
    return {path: data for path, data in files.items() if path not in left_out}
