"""An analysis in a gateway process of its own: memory does not grow with the annotations."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.gateway_process import GatewayProcess
from tests.gateway.datasets import annotated
from tests.gateway.datasets.pictures import picture
from visionmesh.client import Client
from visionmesh.v1 import dataset_pb2

IMAGES = 100
OBJECTS_OF_AN_IMAGE = 20
FILE_BYTES = 100 << 20
POLYGON_POINTS = 200
# Less than the file as it is, let alone as values of Python, which are several times as much.
MOST_GROWTH_BYTES = 64 << 20


class Peak:
    """The largest resident memory of a process, looked at again and again."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self.bytes = self.now

    @property
    def now(self) -> int:
        return int(self._process.memory_info().rss)

    def _look(self) -> None:
        while not self._ended.wait(0.02):
            self.bytes = max(self.bytes, self.now)

    @contextmanager
    def watched(self) -> Iterator[None]:
        thread = threading.Thread(target=self._look)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()


def write_large(folder: Path) -> None:
    """A DICE dataset whose annotations.json has 100 MB: polygons, and what a labelling tool added to each object."""
    for number in range(IMAGES):
        path = folder / "images" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number, size=(64, 48)))
    # Down one side of a shape and up the other: no two points are the same.
    steps = [40 * place / POLYGON_POINTS for place in range(POLYGON_POINTS // 2)]
    down = [value for step in steps for value in (2 + step / 9, 2 + step)]
    up = [value for step in reversed(steps) for value in (50 + step / 9, 2 + step)]
    polygon = json.dumps([[round(value, 6) for value in down + up]])
    added = json.dumps({"note": "x" * (FILE_BYTES // (IMAGES * OBJECTS_OF_AN_IMAGE) - len(polygon))})
    images = [
        {"id": n, "file_name": f"images/{n}.png", "width": 64, "height": 48, "split": "val" if n % 5 == 0 else "train"}
        for n in range(IMAGES)
    ]
    with (folder / "annotations.json").open("w") as file:
        file.write(f'{{"images": {json.dumps(images)}, "categories": [{{"id": 1, "name": "cat"}}], "annotations": [')
        for number in range(IMAGES * OBJECTS_OF_AN_IMAGE):
            comma = "," if number else ""
            box = f"[{2 + number // IMAGES / 10}, 2, 50, 40]"
            file.write(f'{comma}{{"id": {number}, "image_id": {number % IMAGES}, "category_id": 1, "bbox": {box},')
            file.write(f'"segmentation": {polygon}, "attributes": {added}}}')
        file.write("]}")


def test_a_hundred_megabytes_of_annotations_are_read_without_holding_them(tmp_path: Path) -> None:
    write_large(tmp_path / "large")
    assert (tmp_path / "large" / "annotations.json").stat().st_size > 0.9 * FILE_BYTES
    for path, data in annotated.dice().items():
        (tmp_path / "small" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "small" / path).write_bytes(data)
    dice = dataset_pb2.DATASET_FORMAT_DICE
    with (
        GatewayProcess(tmp_path / "gateway", VISIONMESH_WORK_FOLDER=str(tmp_path / "work")) as gateway,
        Client(gateway.address, gateway.token) as client,
    ):
        # What an analysis imports and keeps is there before.
        client.wait_for_dataset(client.upload_folder(tmp_path / "small", "small", format=dice).id)
        peak = Peak(gateway.pid)
        before = peak.now
        with peak.watched():
            dataset = client.wait_for_dataset(client.upload_folder(tmp_path / "large", "large", format=dice).id)
    assert dataset.state == dataset_pb2.DATASET_STATE_READY, dataset.failure
    assert dataset.object_count == IMAGES * OBJECTS_OF_AN_IMAGE
    assert peak.bytes - before < MOST_GROWTH_BYTES
    assert [*(tmp_path / "work").iterdir()] == []
