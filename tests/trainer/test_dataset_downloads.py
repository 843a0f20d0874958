"""Datasets fetched from a real S3 server by real processes: once for all who want them, whole whoever is killed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from annotations.document import read_categories, read_images
from annotations.model import AnnotatedImage, AnnotatedObject, Box
from storage.objects import keys
from storage.objects.errors import ObjectMismatch
from storage.objects.s3 import S3ObjectStore
from tests import s3_server
from tests.s3_server import S3Server
from tests.trainer.object_dataset import put_object_dataset
from trainer.cache.datasets import DatasetCache
from trainer.cache.fetch import LARGE_BYTES, Download, fetch

REPOSITORY = Path(__file__).parents[2]
SPLITS = ("train", "val", "test")
FILES = {f"images/{number:03}.jpg": f"bytes of {number}".encode() * (number + 1) for number in range(60)}
IMAGES = [
    AnnotatedImage(path, 64, 48, SPLITS[place % 3], (AnnotatedObject(place % 2, Box(1, 2, 30, 40)),))
    for place, path in enumerate(FILES)
]
NOT_TRAINED = {"labels.json": b"{}", "images/broken.jpg": b"no image"}
LIMIT = 1 << 30

# Opens the dataset, telling of each step, and goes no further than the one it is told to stay at.
OPENING = """
import os, sys, time
from pathlib import Path
from pydantic import SecretStr
from storage.objects.s3 import S3ObjectStore
from storage.objects.s3_settings import S3Settings
from trainer.cache.datasets import DatasetCache
root, bucket, digest, stay = sys.argv[1:]
def tell(what):
    print(what, flush=True)
    if what == stay:
        time.sleep(600)
cache = DatasetCache(Path(root), S3ObjectStore(bucket, "", S3Settings()), 1 << 30, 4)
tell("begins")
with cache.open("streets", digest, lambda done, total: tell(f"fetched {done}")) as dataset:
    tell("open")
    assert len(list(dataset.root.glob("images/*.jpg"))) == 60 and dataset.annotations.is_file()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server.running(s3_server.nanio(), tmp_path_factory.mktemp("s3")) as server:
        yield server


class Place:
    """A bucket with the dataset, and a cache to open it from."""

    def __init__(self, server: S3Server, root: Path) -> None:
        self.server = server
        self.bucket = server.new_bucket()
        self.root = root
        self.store = S3ObjectStore(self.bucket, "", server.settings())
        self.digest = put_object_dataset(self.store, "streets", ("car", "dög"), IMAGES, {**FILES, **NOT_TRAINED})
        self._started: list[subprocess.Popen[str]] = []

    def cache(self) -> DatasetCache:
        return DatasetCache(self.root, self.store, LIMIT)

    def open(self, stay: str = "") -> subprocess.Popen[str]:
        """A process that opens the dataset."""
        process = subprocess.Popen(
            [sys.executable, "-c", OPENING, str(self.root), self.bucket, self.digest, stay],
            cwd=REPOSITORY,
            env={"PATH": "/usr/bin:/bin", **self.server.environment()},
            stdout=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def downloads(self) -> Counter[str]:
        """How often each object was asked for, by the server's own log."""
        text = self.server.log.read_text()
        return Counter(re.findall(rf'"GET /{self.bucket}/([^? "]+)[^"]*" 20', text))

    def entries(self) -> list[str]:
        return [entry.name for entry in (self.root / "entries").glob("*")]

    def check_whole(self) -> None:
        """The dataset can be opened and every byte of it is right."""
        with self.cache().open("streets", self.digest, None) as dataset:
            found = {path: (dataset.root / path).read_bytes() for path in FILES}
            assert found == FILES and dataset.samples == ()
            on_disk = {str(path.relative_to(dataset.root)) for path in dataset.root.rglob("*") if path.is_file()}
            assert on_disk == set(FILES)
            assert dataset.annotations is not None and list(read_images(dataset.annotations)) == IMAGES
            assert tuple(item.name for item in read_categories(dataset.annotations)) == dataset.class_names
        assert list((self.root / "partial").iterdir()) == []

    def close(self) -> None:
        for process in self._started:
            with process:  # waits for it and closes its pipe
                process.kill()


@pytest.fixture
def place(server: S3Server, tmp_path: Path) -> Iterator[Place]:
    place = Place(server, tmp_path / "cache")
    yield place
    place.close()


def _read_until(process: subprocess.Popen[str], word: str) -> Sequence[str]:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if line.strip() == word:
            return lines
    raise AssertionError(f"the process ended without {word!r}: {lines}")


def test_images_of_a_split_come_with_the_annotations_and_nothing_else(place: Place) -> None:
    seen: list[tuple[int, int]] = []
    with place.cache().open("streets", place.digest, lambda done, total: seen.append((done, total))):
        pass
    total = len(FILES) + 1  # the annotations
    assert seen == [(done, total) for done in range(1, total + 1)]
    place.check_whole()
    asked = place.downloads()
    assert keys.dataset_annotations("streets") in asked
    # One question for each, and none for its size.
    assert set(asked.values()) == {1} and f"HEAD /{place.bucket}" not in place.server.log.read_text()
    assert not [path for path in NOT_TRAINED if keys.dataset_file("streets", path) in asked]


def test_annotations_that_are_not_those_of_the_manifest_are_refused(place: Place) -> None:
    key = keys.dataset_annotations("streets")
    place.store.put(key, b"others")
    with pytest.raises(ObjectMismatch, match=key), place.cache().open("streets", place.digest, None):
        pass
    assert place.entries() == []


def test_files_of_any_size_come_whole_whether_in_one_piece_or_in_parts(place: Place, tmp_path: Path) -> None:
    part = place.server.settings().s3_part_bytes
    contents = {
        f"file-{size}": bytes([size % 251]) * size for size in (0, 1, part - 1, part, part + 1, LARGE_BYTES + 1)
    }
    infos = [place.store.put(key, data) for key, data in contents.items()]
    (tmp_path / "files").mkdir()
    downloads = [Download(info.key, tmp_path / "files" / info.key, info.size_bytes, info.sha256) for info in infos]
    for parallel in (1, 32):
        fetch(place.store, downloads, None, parallel)
        assert {path.name: path.read_bytes() for path in (tmp_path / "files").iterdir()} == contents
    wrong = Download("file-1", tmp_path / "files" / "wrong", 2, infos[1].sha256)
    with pytest.raises(ObjectMismatch, match="expected 2 bytes, found 1 bytes"):
        fetch(place.store, [wrong], None)
    assert not wrong.path.exists()


def test_two_processes_that_want_a_dataset_fetch_it_once(place: Place) -> None:
    both = [place.open() for _ in range(2)]
    told = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(text.count("fetched") for text in told) == [0, len(FILES) + 1]
    assert set(place.downloads().values()) == {1} and len(place.downloads()) == len(FILES) + 2
    place.check_whole()


LAST = f"fetched {len(FILES) + 1}"


@pytest.mark.parametrize("moment", ["begins", "fetched 1", "fetched 20", LAST, "open"])
@pytest.mark.parametrize("stays", [True, False], ids=["there", "soon after"])
def test_a_process_killed_at_any_moment_leaves_the_dataset_whole_or_absent(
    place: Place, moment: str, stays: bool
) -> None:
    doomed = place.open(moment if stays else "")
    _read_until(doomed, moment)
    doomed.kill()
    doomed.wait()
    if moment == "open":
        assert place.entries() == [place.digest]
        place.server.stop()  # what is whole needs no store
        place.check_whole()
        place.server.start()
    elif stays:
        assert place.entries() == []
    place.check_whole()


def test_who_waits_for_a_process_that_is_killed_fetches_the_dataset_itself(place: Place) -> None:
    doomed = place.open("fetched 20")
    _read_until(doomed, "fetched 20")
    waiting = place.open()
    _read_until(waiting, "begins")
    doomed.kill()
    assert waiting.communicate()[0].count("fetched") == len(FILES) + 1 and waiting.returncode == 0
    place.check_whole()
