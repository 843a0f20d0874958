"""Caches shared by processes: whole or absent, one builder, nothing in use evicted; and what fills them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
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
from trainer.cache.files import FolderCache

REPOSITORY = Path(__file__).parents[2]
A, B, C = (sha256_bytes(letter) for letter in (b"a", b"b", b"c"))


def _content(digest: str) -> bytes:
    return digest.encode() * 10  # 640 bytes


def _build(digest: str) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_bytes(_content(digest))

    return build


def _never(folder: Path) -> None:
    raise AssertionError(f"{folder} should have been cached")


def _use(cache: FolderCache, digest: str) -> None:
    with cache.open(digest, _build(digest)) as folder:
        assert (folder / "inner" / "file").read_bytes() == _content(digest)


def _entries(root: Path) -> set[str]:
    return {entry.name for entry in (root / "entries").iterdir()}


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


class _Processes:
    """Python processes that run a script with ``root`` (of the cache), ``tmp`` and ``arguments``; killed at the end."""

    PREAMBLE = (
        "import os, random, sys, time\n"
        "from pathlib import Path\n"
        "from trainer.cache.files import FolderCache\n"
        "root, tmp, *arguments = sys.argv[1:]\n"
        "root, tmp = Path(root), Path(tmp)\n"
    )

    def __init__(self, root: Path, tmp: Path) -> None:
        self._root = root
        self._tmp = tmp
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, script: str, *arguments: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", self.PREAMBLE + script, self._root, self._tmp, *map(str, arguments)]
        process = subprocess.Popen(command, cwd=REPOSITORY)
        self._started.append(process)
        return process

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def processes(root: Path, tmp_path: Path) -> Iterator[_Processes]:
    processes = _Processes(root, tmp_path)
    yield processes
    processes.close()


# Folders


def test_an_entry_is_built_once_and_found_again(root: Path) -> None:
    _use(FolderCache(root, 10_000), A)
    with FolderCache(root, 10_000).open(A, _never) as folder:
        assert (folder / "inner" / "file").read_bytes() == _content(A)


def test_a_build_that_fails_leaves_nothing(root: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_bytes(b"half")
        raise RuntimeError("store went away")

    cache = FolderCache(root, 10_000)
    with pytest.raises(RuntimeError, match="store went away"), cache.open(A, fail):
        raise AssertionError("there is nothing to open")
    assert _entries(root) == set()
    assert list((root / "partial").iterdir()) == []
    _use(cache, A)


@pytest.mark.parametrize("digest", ["", "..", "abc", "A" * 64, "../" + "a" * 61])
def test_an_entry_is_named_by_a_digest_only(root: Path, digest: str) -> None:
    with pytest.raises(ValueError), FolderCache(root, 10_000).open(digest, _never):
        pass


def test_the_least_recently_used_goes_first(root: Path) -> None:
    cache = FolderCache(root, 2 * 640)
    for digest in (A, B, A, C):
        _use(cache, digest)
    assert _entries(root) == {A, C}
    assert {lock.name for lock in (root / "locks").iterdir()} == {A, C}


def test_an_entry_larger_than_the_limit_lives_while_it_is_used(root: Path) -> None:
    cache = FolderCache(root, 100)
    with cache.open(A, _build(A)) as folder:
        _use(cache, B)
        assert (folder / "inner" / "file").read_bytes() == _content(A)
        with cache.open(A, _never):
            pass
        assert _entries(root) == {A}
    assert _entries(root) == set()


def test_an_entry_that_another_process_uses_is_not_evicted(root: Path, tmp_path: Path, processes: _Processes) -> None:
    cache = FolderCache(root, 640)
    _use(cache, A)
    user = processes.start(
        "with FolderCache(root, 640).open(arguments[0], None) as folder:\n"
        "    (tmp / 'using').touch()\n"
        "    while not (tmp / 'enough').exists(): time.sleep(0.01)\n"
        "    assert (folder / 'inner/file').read_bytes() == arguments[0].encode() * 10\n",
        A,
    )
    _wait_for((tmp_path / "using").exists)
    _use(cache, B)
    _use(cache, C)
    assert _entries(root) == {A}
    (tmp_path / "enough").touch()
    assert user.wait() == 0
    _use(cache, B)
    assert _entries(root) == {B}


def test_a_user_that_is_killed_no_longer_holds_its_entry(root: Path, tmp_path: Path, processes: _Processes) -> None:
    cache = FolderCache(root, 640)
    _use(cache, A)
    user = processes.start(
        "with FolderCache(root, 640).open(arguments[0], None):\n    (tmp / 'using').touch()\n    time.sleep(600)\n", A
    )
    _wait_for((tmp_path / "using").exists)
    user.send_signal(signal.SIGKILL)
    user.wait()
    _use(cache, B)
    assert _entries(root) == {B}


def test_a_forked_child_does_not_hold_what_its_parent_let_go(root: Path) -> None:
    cache = FolderCache(root, 640)
    with cache.open(A, _build(A)):
        child = os.fork()
        if child == 0:
            time.sleep(600)
            os._exit(0)
    try:
        _use(cache, B)
        assert _entries(root) == {B}
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_processes_that_want_the_same_entry_have_it_built_once(
    root: Path, tmp_path: Path, processes: _Processes
) -> None:
    started = [
        processes.start(
            "def build(folder):\n"
            "    with (tmp / 'builds').open('a') as log: log.write('built\\n')\n"
            "    (folder / 'first').write_text('1')\n"
            "    time.sleep(0.3)\n"
            "    (folder / 'second').write_text('2')\n"
            "(tmp / f'ready-{os.getpid()}').touch()\n"
            "while not (tmp / 'go').exists(): time.sleep(0.001)\n"
            "with FolderCache(root, 10_000).open(arguments[0], build) as folder:\n"
            "    assert sorted(os.listdir(folder)) == ['first', 'second']\n",
            A,
        )
        for _ in range(5)
    ]
    _wait_for(lambda: len(list(tmp_path.glob("ready-*"))) == 5)
    (tmp_path / "go").touch()
    assert [process.wait() for process in started] == [0] * 5
    assert (tmp_path / "builds").read_text() == "built\n"


HALF_BUILT = (
    "def build(folder):\n"
    "    (folder / 'half').write_text('half')\n"
    "    (tmp / 'building').touch()\n"
    "    time.sleep(600)\n"
    "with FolderCache(root, 10_000).open(arguments[0], build): pass\n"
)


def test_a_builder_that_is_killed_leaves_nothing_half(root: Path, tmp_path: Path, processes: _Processes) -> None:
    builder = processes.start(HALF_BUILT, A)
    _wait_for((tmp_path / "building").exists)
    waiter = processes.start(
        "def build(folder):\n"
        "    assert os.listdir(folder) == []\n"
        "    (folder / 'whole').write_text('whole')\n"
        "(tmp / 'waiting').touch()\n"
        "with FolderCache(root, 10_000).open(arguments[0], build) as folder:\n"
        "    assert os.listdir(folder) == ['whole']\n",
        A,
    )
    _wait_for((tmp_path / "waiting").exists)
    time.sleep(0.2)
    assert waiter.poll() is None
    assert _entries(root) == set()
    builder.send_signal(signal.SIGKILL)
    builder.wait()
    assert waiter.wait() == 0
    with FolderCache(root, 10_000).open(A, _never) as folder:
        assert [path.name for path in folder.iterdir()] == ["whole"]
    assert list((root / "partial").iterdir()) == []


def test_what_a_killed_builder_left_goes_with_the_next_use_of_the_cache(
    root: Path, tmp_path: Path, processes: _Processes
) -> None:
    cache = FolderCache(root, 10_000)
    builder = processes.start(HALF_BUILT, A)
    _wait_for((tmp_path / "building").exists)
    _use(cache, B)
    assert [path.name for path in (root / "partial").iterdir()] == [A]  # its builder is alive
    builder.send_signal(signal.SIGKILL)
    builder.wait()
    _use(cache, B)
    assert list((root / "partial").iterdir()) == []
    assert _entries(root) == {B}


def test_building_using_evicting_and_dying_processes_never_see_half_an_entry(root: Path, processes: _Processes) -> None:
    script = (
        "cache = FolderCache(root, 3 * 640)\n"
        "choice = random.Random(int(arguments[0]))\n"
        "digests = arguments[1:]\n"
        "def build(digest):\n"
        "    def fill(folder):\n"
        "        for part in range(10): (folder / str(part)).write_text(digest)\n"
        "    return fill\n"
        "end = time.monotonic() + 2\n"
        "while time.monotonic() < end:\n"
        "    digest = choice.choice(digests)\n"
        "    with cache.open(digest, build(digest)) as folder:\n"
        "        for _ in range(2):\n"
        "            assert [(folder / str(part)).read_text() for part in range(10)] == [digest] * 10\n"
        "            time.sleep(choice.random() / 1000)\n"
    )
    digests = [sha256_bytes(bytes([number])) for number in range(6)]
    users = [processes.start(script, seed, *digests) for seed in range(4)]
    doomed = processes.start(script, 99, *digests)
    time.sleep(1.5)
    doomed.send_signal(signal.SIGKILL)
    doomed.wait()
    assert [user.wait() for user in users] == [0] * 4
    FolderCache(root, 3 * 640).evict()
    assert len(_entries(root)) <= 3
    assert list((root / "partial").iterdir()) == []


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

    with pytest.raises(ObjectNotFound, match="manifests/d2.json"):
        attempt("d2")
    with pytest.raises(ObjectMismatch, match="manifests/d1.json"):
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
