"""A dataset of pictures with several digits on each, boxed: READY, made past the gateway."""

from __future__ import annotations

import asyncio
import io

from PIL import Image
from sqlalchemy.orm import Session

from annotations.model import AnnotatedImage, AnnotatedObject, Box
from storage.database.datasets import DatasetRepository
from storage.database.engine import Database
from storage.database.tables import DatasetFile
from storage.objects.digest import sha256_bytes
from storage.objects.store import ObjectStore
from tests.end_to_end import digits
from tests.trainer.object_dataset import encode, put_object_dataset, turned
from visionmesh.client import Client
from visionmesh.v1 import dataset_pb2

CLASSES = ("0", "1", "2")
SIDE = 112
PLACES = ((4, 8), (60, 2), (10, 66), (72, 70))


def pictures(train: int = 16, val: int = 5) -> tuple[list[AnnotatedImage], dict[str, bytes]]:
    """Annotated images and their files. Every third one is a JPEG of a camera held sideways, every fourth shows digits
    of one class only, and the last of each split none."""
    digits_by_class = [_pictures_of(label) for label in range(len(CLASSES))]
    images, files = [], {}
    for split, count in (("train", train), ("val", val)):
        for number in range(count):
            canvas, objects = Image.new("L", (SIDE, SIDE + 16), 60), []
            for place, (left, top) in enumerate(PLACES if number < count - 1 else ()):
                label = number % 3 if number % 4 == 0 else (number + place) % 3
                canvas.paste(digits_by_class[label].pop(), (left, top))
                objects.append(AnnotatedObject(label, Box(left, top, left + digits.SIDE, top + digits.SIDE)))
            sideways = number % 3 == 1
            path = f"{split}/{number:02}.{'jpg' if sideways else 'png'}"
            files[path] = turned(canvas, "JPEG", quality=95) if sideways else encode(canvas)
            images.append(AnnotatedImage(path, *canvas.size, split, tuple(objects)))
    return images, files


def make(client: Client, url: str, store: ObjectStore) -> dataset_pb2.Dataset:
    """The dataset, READY, as its analysis leaves records and objects."""
    images, files = pictures()
    made = client.create_dataset(dataset_pb2.DatasetSpec(name="streets", format=dataset_pb2.DATASET_FORMAT_DICE))
    manifest_digest = put_object_dataset(store, made.id, CLASSES, images, files)
    rows = [
        DatasetFile(dataset_id=made.id, path=path, size_bytes=len(data), sha256=sha256_bytes(data))
        for path, data in files.items()
    ]

    def record(session: Session) -> None:
        datasets = DatasetRepository(session)
        datasets.add_files(made.id, rows)
        datasets.change_state(
            made.id,
            ["UPLOADING"],
            "READY",
            class_names=[*CLASSES],
            task_types=["OBJECT_DETECTION"],
            manifest_digest=manifest_digest,
        )

    async def write() -> None:
        database = Database(url)
        await database.write(record)
        await database.close()

    asyncio.run(write())
    return client.get_dataset(made.id)


def _pictures_of(label: int) -> list[Image.Image]:
    content = digits.files(classes=3, per_class=40, val=0)
    return [Image.open(io.BytesIO(data)) for path, data in content.items() if path.split("/")[1] == str(label)]
