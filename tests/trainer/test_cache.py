"""The cache that processes share: entries whole or absent, one builder, nothing in use evicted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.objects.digest import sha256_bytes
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
        command = [sys.executable, "-c", self.PREAMBLE + script, str(self._root), str(self._tmp), *map(str, arguments)]
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


def test_a_user_that_is_killed_no_longer_holds_its_entry_but_has_used_it(
    root: Path, tmp_path: Path, processes: _Processes
) -> None:
    cache = FolderCache(root, 2 * 640)
    _use(cache, A)
    _use(cache, B)
    user = processes.start(
        "with FolderCache(root, 2 * 640).open(arguments[0], None):\n    (tmp / 'using').touch()\n    time.sleep(600)\n",
        A,
    )
    _wait_for((tmp_path / "using").exists)
    user.send_signal(signal.SIGKILL)
    user.wait()
    _use(cache, C)
    assert _entries(root) == {A, C}
    _use(cache, B)
    assert _entries(root) == {B, C}


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
