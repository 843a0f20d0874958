"""Looking annotations up by path: each document is read once, whatever happens at the same time."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from annotations.document import write_document
from annotations.model import AnnotatedImage, AnnotatedObject, Box, Category
from gateway.datasets.annotation_index import AnnotationIndexes
from gateway.datasets.preview_choice import choose
from rpc.errors import DomainError
from storage.objects import keys
from storage.objects.digest import sha256_bytes
from storage.objects.local import LocalObjectStore
from storage.objects.manifest import AnnotationsReference

CATEGORIES = (Category("car"), Category("dog", ("nose", "tail"), ((0, 1),)))


class CountingStore(LocalObjectStore):
    """Counts the files that are fetched."""

    fetched = 0

    def get_file(self, key: str, path: Path, *, sha256: str, size_bytes: int | None = None) -> None:
        self.fetched += 1
        super().get_file(key, path, sha256=sha256, size_bytes=size_bytes)


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    return CountingStore(tmp_path / "objects")


def images(count: int, seed: int = 0) -> list[AnnotatedImage]:
    return [
        AnnotatedImage(
            f"{n:05}.jpg",
            100,
            50 + seed,
            "val" if n % 5 == 0 else "train",
            (AnnotatedObject(n % 2, Box(1, 2, 3.5, 4)),),
        )
        for n in range(count)
    ]


def put(store: LocalObjectStore, dataset_id: str, found: list[AnnotatedImage], tmp_path: Path) -> AnnotationsReference:
    write_document(tmp_path / "document", CATEGORIES, found, len(found))
    data = (tmp_path / "document").read_bytes()
    store.put(keys.dataset_annotations(dataset_id), data)
    return AnnotationsReference(sha256_bytes(data), len(data))


def test_every_image_is_found_as_it_was_written(store: CountingStore, tmp_path: Path) -> None:
    written = images(2500)
    reference = put(store, "ds_1", written, tmp_path)
    indexes = AnnotationIndexes(store, 1 << 30)
    with indexes.open("ds_1", reference) as index:
        assert index.categories == CATEGORIES
        assert [index.find(image.path) for image in written] == written
        assert index.find("none.jpg") is None
        assert sum(1 for _ in index.images("val")) == 500
        assert dict(index.images("")) == {image.path: (image.objects[0].category_id,) for image in written}
    indexes.close()


def test_many_who_ask_at_once_read_the_document_once(store: CountingStore, tmp_path: Path) -> None:
    reference = put(store, "ds_1", images(2000), tmp_path)
    indexes = AnnotationIndexes(store, 1 << 30)

    def look(path: str) -> bool:
        with indexes.open("ds_1", reference) as index:
            return index.find(path) is not None

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(look, [image.path for image in images(40)]))
    assert store.fetched == 1
    indexes.close()


def test_what_was_not_used_for_longest_makes_room(store: CountingStore, tmp_path: Path) -> None:
    references = {f"ds_{n}": put(store, f"ds_{n}", images(300, seed=n), tmp_path) for n in range(3)}
    indexes = AnnotationIndexes(store, 0)

    def look(dataset_id: str) -> None:
        with indexes.open(dataset_id, references[dataset_id]) as index:
            # Another one takes its place while it is read.
            with indexes.open("ds_2", references["ds_2"]):
                pass
            assert index.find("00001.jpg") is not None

    look("ds_0")
    look("ds_1")
    assert store.fetched == 4
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(look, ["ds_0", "ds_1"] * 10))
    indexes.close()


def test_a_closed_gateway_leaves_no_files_and_the_next_removes_those_of_a_killed_one(
    store: CountingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    dead, other = temporary / "visionmesh-annotations-4194304-x", temporary / f"visionmesh-annotations-{os.getppid()}-x"
    for folder in (dead, other):
        folder.mkdir(parents=True)
    indexes = AnnotationIndexes(store, 1 << 30)
    with indexes.open("ds_1", put(store, "ds_1", images(3), tmp_path)):
        assert not dead.exists() and other.exists()
        assert len([*temporary.iterdir()]) == 2
    indexes.close()
    assert [*temporary.iterdir()] == [other]


@pytest.mark.parametrize("content", [b"no gzip", b""])
def test_a_document_that_is_none_is_said_to_be_corrupt_and_nothing_stays(
    store: CountingStore, tmp_path: Path, content: bytes
) -> None:
    store.put(keys.dataset_annotations("ds_1"), content)
    indexes = AnnotationIndexes(store, 1 << 30)
    for _ in range(2):
        with (
            pytest.raises(DomainError) as caught,
            indexes.open("ds_1", AnnotationsReference(sha256_bytes(content), len(content))),
        ):
            pass
        assert caught.value.reason == "STORAGE_CORRUPT"
    indexes.close()


def test_a_choice_is_fair_and_depends_on_nothing_but_images_and_seed() -> None:
    shows = {f"{n}.jpg": (0,) if n < 900 else (0, 1) if n < 990 else (2,) if n < 995 else () for n in range(1000)}
    chosen = choose(shows.items(), 40, 7)
    assert (len(chosen.paths), chosen.candidates) == (40, 1000)
    assert chosen == choose(reversed(shows.items()), 40, 7)
    assert [*chosen.paths] == sorted(chosen.paths)
    assert choose(shows.items(), 40, 8).paths != chosen.paths
    counts = {kind: sum(shows[path] == kind for path in chosen.paths) for kind in set(shows.values())}
    assert counts[(2,)] == counts[()] == 5  # all there are of them
    assert counts[(0, 1)] >= 10 and counts[(0,)] >= 5
    assert len(choose(shows.items(), 2000, 7).paths) == 1000
    assert choose([], 5, 0).paths == ()
