"""Datasets and checkpoints that come from the store once, verified, and are then on local disk."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from storage.objects import keys
from storage.objects.digest import sha256_bytes
from storage.objects.errors import ObjectMismatch, ObjectNotFound
from storage.objects.local import LocalObjectStore
from storage.objects.manifest import Manifest, ManifestFile
from storage.objects.paths import InvalidPath
from trainer.adapter import Sample
from trainer.cache.checkpoints import CheckpointCache, CheckpointFile
from trainer.cache.datasets import DatasetCache

A = sha256_bytes(b"a")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def _entries(root: Path) -> set[str]:
    return {entry.name for entry in (root / "entries").iterdir()}


# Datasets


@pytest.fixture
def store(tmp_path: Path) -> LocalObjectStore:
    return LocalObjectStore(tmp_path / "objects")


FILES = {f"train/{name}/{number}.png": (name, "train") for name in ("cat", "dög") for number in range(12)}
FILES |= {"val/cat/x.png": ("cat", "val"), "test/dög/x.png": ("dög", "test")}
CLASSES = ("cat", "dög")


def _upload(store: LocalObjectStore, dataset_id: str = "d1") -> str:
    """A dataset as the gateway leaves it; return the digest of its manifest."""
    files = []
    for path, (label, split) in {**FILES, "readme.txt": ("", ""), "train/broken.png": ("", "train")}.items():
        info = store.put(keys.dataset_file(dataset_id, path), f"bytes of {path}".encode())
        label_id = CLASSES.index(label) if label else None
        files.append(ManifestFile(path, info.size_bytes, info.sha256, split, label_id))
    manifest = Manifest(dataset_id, "DICE", ("CLASSIFICATION",), CLASSES, tuple(files))
    return store.put(keys.manifest(dataset_id), manifest.to_bytes()).sha256


def test_a_dataset_is_fetched_once_and_then_needs_no_store(root: Path, store: LocalObjectStore) -> None:
    digest = _upload(store)
    seen: list[tuple[int, int]] = []
    with DatasetCache(root, store, 10_000).open(
        "d1", digest, lambda done, total: seen.append((done, total))
    ) as dataset:
        assert dataset.class_names == CLASSES
        assert set(dataset.samples) == {
            Sample(path, split, CLASSES.index(label)) for path, (label, split) in FILES.items()
        }
        assert [sample.path for sample in dataset.split("val")] == ["val/cat/x.png"]
        for sample in dataset.samples:
            assert (dataset.root / sample.path).read_text() == f"bytes of {sample.path}"
        on_disk = {str(path.relative_to(dataset.root)) for path in dataset.root.rglob("*") if path.is_file()}
        assert on_disk == set(FILES)
    assert seen == [(done, len(FILES)) for done in range(1, len(FILES) + 1)]

    store.delete_prefix("datasets/")
    store.delete_prefix("manifests/")
    seen.clear()
    with DatasetCache(root, store, 10_000).open("d1", digest, lambda done, total: seen.append((done, total))) as again:
        assert again == dataset
    assert seen == []


def test_a_dataset_that_is_gone_or_changed_is_said_to_be(root: Path, store: LocalObjectStore) -> None:
    digest = _upload(store)
    cache = DatasetCache(root, store, 10_000)

    def attempt(dataset_id: str = "d1", manifest_digest: str = digest) -> None:
        with cache.open(dataset_id, manifest_digest, None):
            raise AssertionError("there is nothing to train on")

    with pytest.raises(ObjectNotFound, match=r"manifests/d2\.json"):
        attempt("d2")
    with pytest.raises(ObjectMismatch, match=r"manifests/d1\.json"):
        attempt(manifest_digest=A)
    key = keys.dataset_file("d1", "train/cat/3.png")
    good = store.get(key)
    store.put(key, b"other")
    with pytest.raises(ObjectMismatch, match=key):
        attempt()
    store.delete(key)
    with pytest.raises(ObjectNotFound, match=key):
        attempt()
    store.put(keys.manifest("d2"), store.get(keys.manifest("d1")))
    with pytest.raises(ObjectMismatch, match="expected dataset d2, found dataset d1"):
        attempt("d2")
    nonsense = store.put(keys.manifest("d3"), b"{}").sha256
    with pytest.raises(ValueError, match="manifest"):
        attempt("d3", nonsense)
    assert _entries(root) == set()

    store.put(key, good)
    with cache.open("d1", digest, None) as dataset:
        assert len(dataset.samples) == len(FILES)


def test_a_file_whose_announced_size_is_wrong_is_refused(root: Path, store: LocalObjectStore) -> None:
    info = store.put(keys.dataset_file("d1", "train/cat/1.png"), b"cat")
    file = ManifestFile("train/cat/1.png", 4, info.sha256, "train", 0)
    digest = store.put(keys.manifest("d1"), Manifest("d1", "DICE", (), ("cat",), (file,)).to_bytes()).sha256
    with (
        pytest.raises(ObjectMismatch, match="expected 4 bytes, found 3 bytes"),
        DatasetCache(root, store, 10_000).open("d1", digest, None),
    ):
        pass


def test_a_fetch_can_be_abandoned_from_its_progress(root: Path, store: LocalObjectStore) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise Stopped

    digest = _upload(store)
    with pytest.raises(Stopped), DatasetCache(root, store, 10_000).open("d1", digest, stop):
        pass
    assert _entries(root) == set()
    assert list((root / "partial").iterdir()) == []


# Checkpoints

STATE = "training_state.safetensors"
WEIGHTS = "weights.safetensors"
PREFIX = keys.checkpoint_prefix("my project", "j1", "c1")


def _publish(store: LocalObjectStore) -> list[CheckpointFile]:
    infos = {name: store.put(PREFIX + name, f"bytes of {name}".encode()) for name in (WEIGHTS, STATE)}
    return [CheckpointFile(name, info.size_bytes, info.sha256) for name, info in infos.items()]


@pytest.mark.parametrize("storage_path", [PREFIX, PREFIX.rstrip("/")])
def test_a_checkpoint_comes_with_the_files_that_were_asked_for(
    root: Path, store: LocalObjectStore, storage_path: str
) -> None:
    weights, state = _publish(store)
    cache = CheckpointCache(root, store, 10_000)
    with ExitStack() as both:
        predicting = both.enter_context(cache.open(storage_path, [weights], A))
        resuming = both.enter_context(cache.open(storage_path, [weights, state], A))
        assert [path.name for path in predicting.iterdir()] == [WEIGHTS]
        assert {path.name: path.read_text() for path in resuming.iterdir()} == {
            WEIGHTS: f"bytes of {WEIGHTS}",
            STATE: f"bytes of {STATE}",
        }
    store.delete_prefix(PREFIX)
    with cache.open(storage_path, [state, weights], A) as again:
        assert again == resuming


def test_a_checkpoint_that_is_gone_or_changed_is_said_to_be(root: Path, store: LocalObjectStore) -> None:
    weights, state = _publish(store)
    cache = CheckpointCache(root, store, 10_000)
    store.put(PREFIX + WEIGHTS, b"other")
    with pytest.raises(ObjectMismatch, match=WEIGHTS), cache.open(PREFIX, [weights], A):
        pass
    store.delete(PREFIX + STATE)
    with pytest.raises(ObjectNotFound, match=STATE), cache.open(PREFIX, [state], A):
        pass
    assert _entries(root) == set()


@pytest.mark.parametrize("name", ["", "..", "../weights", "/etc/passwd", "a/b", "a\\b"])
def test_a_checkpoints_file_stays_in_its_folder(root: Path, store: LocalObjectStore, name: str) -> None:
    with (
        pytest.raises(InvalidPath),
        CheckpointCache(root, store, 10_000).open(PREFIX, [CheckpointFile(name, 1, A)], A),
    ):
        pass
