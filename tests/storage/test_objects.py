"""The contract of object stores, told to every implementation, and what is the local folder's own."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.objects.digest import sha256_bytes, sha256_file
from storage.objects.errors import InvalidKey, ObjectMismatch, ObjectNotFound, StoreUnavailable
from storage.objects.local import LocalObjectStore
from storage.objects.open import open_store
from storage.objects.store import ObjectInfo, ObjectStore

# One entry for each implementation: how to open an empty store.
STORES: dict[str, Callable[[Path], ObjectStore]] = {"local": lambda folder: open_store(str(folder / "objects"))}

DATA = b"some bytes " * 1000


@pytest.fixture(params=list(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return STORES[request.param](tmp_path)


@pytest.fixture
def local(tmp_path: Path) -> LocalObjectStore:
    return LocalObjectStore(tmp_path / "objects")


def _keys(store: ObjectStore, prefix: str = "") -> list[str]:
    return [info.key for info in store.list(prefix)]


def _files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


# The contract


def test_bytes_come_back_as_they_were_put(store: ObjectStore) -> None:
    info = store.put("datasets/d1/train/1.png", DATA)
    assert info == ObjectInfo("datasets/d1/train/1.png", len(DATA), sha256_bytes(DATA))
    assert store.get("datasets/d1/train/1.png") == DATA
    described = store.stat("datasets/d1/train/1.png")
    assert (described.key, described.size_bytes) == (info.key, len(DATA))
    assert described.sha256 in ("", info.sha256)


def test_an_empty_object_is_an_object(store: ObjectStore) -> None:
    store.put("empty", b"")
    assert store.get("empty") == b""
    assert store.stat("empty").size_bytes == 0


def test_keys_may_hold_any_text(store: ObjectStore) -> None:
    for key in ("a b/ü/日本.png", "a?b#c%2Fd&e=f+g", ".hidden/..x", "'\"<>|*:", "x" * 255):
        store.put(key, key.encode())
        assert store.get(key) == key.encode()
        assert key in _keys(store)


def test_reading_goes_in_chunks(store: ObjectStore) -> None:
    store.put("key", DATA)
    chunks = list(store.read("key", chunk_bytes=4096))
    assert b"".join(chunks) == DATA
    assert max(map(len, chunks)) <= 4096
    assert len(chunks) == 3


def test_what_does_not_exist_is_not_found(store: ObjectStore, tmp_path: Path) -> None:
    store.put("folder/object", b"x")
    for key in ("missing", "folder", "folder/object/below"):
        with pytest.raises(ObjectNotFound) as caught:
            store.get(key)
        assert caught.value.key == key
        with pytest.raises(ObjectNotFound):
            store.stat(key)
        with pytest.raises(ObjectNotFound):
            store.get_file(key, tmp_path / "file", sha256=sha256_bytes(b"x"))
    assert not (tmp_path / "file").exists()


def test_an_object_is_invisible_until_committed(store: ObjectStore) -> None:
    with store.writer("key", size_bytes=6, sha256=sha256_bytes(b"abcdef")) as writer:
        writer.write(b"abc")
        writer.write(b"def")
        with pytest.raises(ObjectNotFound):
            store.stat("key")
        assert _keys(store) == []
        assert writer.commit() == ObjectInfo("key", 6, sha256_bytes(b"abcdef"))
        writer.abort()  # comes too late to matter
    assert store.get("key") == b"abcdef"


def test_an_object_that_is_not_committed_never_was(store: ObjectStore) -> None:
    store.put("key", b"old")
    with store.writer("key") as writer:
        writer.write(b"new")
    with pytest.raises(RuntimeError, match="client went away"), store.writer("key") as writer:
        writer.write(b"new")
        raise RuntimeError("client went away")
    writer.abort()
    assert store.get("key") == b"old"
    with pytest.raises(ValueError):
        writer.commit()


def test_too_many_bytes_are_refused_as_they_come(store: ObjectStore) -> None:
    with store.writer("key", size_bytes=4) as writer:
        writer.write(b"1234")
        with pytest.raises(ObjectMismatch) as caught:
            writer.write(b"5")
    assert (caught.value.key, caught.value.expected) == ("key", "4 bytes")
    assert _keys(store) == []


def test_too_few_bytes_or_other_bytes_are_not_committed(store: ObjectStore) -> None:
    store.put("key", b"old")
    with store.writer("key", size_bytes=4) as writer:
        writer.write(b"123")
        with pytest.raises(ObjectMismatch, match="expected 4 bytes, found 3 bytes"):
            writer.commit()
    with store.writer("key", sha256=sha256_bytes(b"1234")) as writer:
        writer.write(b"1235")
        with pytest.raises(ObjectMismatch, match=sha256_bytes(b"1235")):
            writer.commit()
    assert store.get("key") == b"old"


def test_a_reader_keeps_the_version_it_began_with(store: ObjectStore) -> None:
    store.put("key", DATA)
    reader = store.read("key", chunk_bytes=100)
    first = next(reader)
    store.put("key", b"another")
    store.delete("key")
    assert first + b"".join(reader) == DATA


def test_files_go_in_and_out_verified(store: ObjectStore, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / ("t" * 255)
    source.write_bytes(DATA)
    with pytest.raises(ObjectMismatch):
        store.put_file("key", source, sha256=sha256_bytes(b"other"))
    assert _keys(store) == []
    assert store.put_file("key", source, sha256=sha256_file(source)).sha256 == sha256_bytes(DATA)
    with pytest.raises(ObjectMismatch):
        store.get_file("key", target, sha256=sha256_bytes(b"other"))
    assert not target.exists()
    store.get_file("key", target, sha256=sha256_bytes(DATA))
    assert target.read_bytes() == DATA
    with pytest.raises(FileNotFoundError):
        store.put_file("key", tmp_path / "none", sha256=sha256_bytes(DATA))
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".partial")] == []


def test_listing_is_by_prefix_and_sorted_by_key(store: ObjectStore) -> None:
    keys = ["a.txt", "a/b", "a/b.c/d", "a/é", "a0", "datasets/d1/x", "datasets/d10/x", "datasets/d2/x"]
    for key in reversed(keys):
        store.put(key, key.encode())
    assert _keys(store) == keys
    assert [info.size_bytes for info in store.list("a/")] == [3, 7, 4]
    assert _keys(store, "a") == keys[:5]
    assert _keys(store, "a/b") == ["a/b", "a/b.c/d"]
    assert _keys(store, "datasets/d1") == ["datasets/d1/x", "datasets/d10/x"]
    assert _keys(store, "datasets/d1/") == ["datasets/d1/x"]
    assert _keys(store, "nothing/here") == []


def test_deleting_is_repeatable_and_touches_nothing_else(store: ObjectStore) -> None:
    for key in ("datasets/d1/x", "datasets/d1/y/z", "datasets/d10/x"):
        store.put(key, b"x")
    store.delete("datasets/d1/x")
    store.delete("datasets/d1/x")
    store.delete("datasets/d10")
    assert _keys(store) == ["datasets/d1/y/z", "datasets/d10/x"]
    store.delete_prefix("datasets/d1/")
    store.delete_prefix("datasets/d1/")
    assert _keys(store) == ["datasets/d10/x"]


def test_a_prefix_to_delete_names_whole_parts(store: ObjectStore) -> None:
    store.put("datasets/d10/x", b"x")
    for prefix in ("datasets/d1", "", "/", "datasets/../"):
        with pytest.raises(InvalidKey):
            store.delete_prefix(prefix)
    assert _keys(store) == ["datasets/d10/x"]


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a\\b", "a\0b", "x" * 256, "a\ud800"]
)
def test_a_key_that_could_lead_astray_is_refused(store: ObjectStore, tmp_path: Path, key: str) -> None:
    for call in (store.writer, store.stat, store.get, store.delete):
        with pytest.raises(InvalidKey) as caught:
            call(key)
        assert caught.value.key == key
    with pytest.raises(InvalidKey):
        store.get_file(key, tmp_path / "file", sha256=sha256_bytes(b""))


def test_many_writers_and_deleters_at_once(store: ObjectStore) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(15):
                store.put(f"shared/folder/{number}/x", bytes([turn]))
                store.put("shared/one", bytes([number]) * 1000)
                assert len(set(store.get("shared/one"))) == 1
                list(store.list("shared/"))
                store.delete(f"shared/folder/{number}/x")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert _keys(store) == ["shared/one"]


# The local folder


def test_nothing_but_objects_stays_in_the_folder(local: LocalObjectStore, tmp_path: Path) -> None:
    local.put("a/b/c", b"x")
    with local.writer("a/d", size_bytes=1) as writer, pytest.raises(ObjectMismatch):
        writer.write(b"12")
    assert _files(tmp_path / "objects") == ["a/b/c"]
    local.delete("a/b/c")
    assert sorted(path.name for path in (tmp_path / "objects").iterdir()) == [".incoming"]


def test_an_object_cannot_be_a_folder_of_another(local: LocalObjectStore) -> None:
    local.put("a", b"x")
    local.put("b/c/d", b"x")
    for key, why in (("a/b", "object lies"), ("a/b/c", "object lies"), ("b", "folder of"), ("b/c", "folder of")):
        with pytest.raises(InvalidKey, match=why) as caught:
            local.put(key, b"y")
        assert caught.value.key == key
    assert [info.key for info in local.list("")] == ["a", "b/c/d"]


def test_empty_folders_that_a_crash_left_are_in_nobodys_way(local: LocalObjectStore, tmp_path: Path) -> None:
    (tmp_path / "objects/a/b/c").mkdir(parents=True)
    assert list(local.list("a/")) == []
    local.put("a", b"x")
    assert local.get("a") == b"x"


def test_symbolic_links_lead_nowhere(local: LocalObjectStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (tmp_path / "objects/link").symlink_to(outside)
    (tmp_path / "objects/file").symlink_to(outside / "secret")
    for key in ("link/secret", "link/new", "file"):
        for call in (local.get, local.stat, local.writer, local.delete):
            with pytest.raises(InvalidKey, match="symbolic link"):
                call(key)
    with pytest.raises(InvalidKey):
        local.delete_prefix("link/")
    assert list(local.list("")) == []
    assert _files(outside) == ["secret"]


def test_a_link_made_while_an_object_is_written_is_not_followed(local: LocalObjectStore, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    with local.writer("link/new") as writer:
        writer.write(b"x")
        (tmp_path / "objects/link").symlink_to(tmp_path / "outside")
        with pytest.raises(InvalidKey):
            writer.commit()
    assert _files(tmp_path / "outside") == []


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "objects").symlink_to(tmp_path / "disk")
    LocalObjectStore(tmp_path / "objects").put("a/b", b"x")
    assert (tmp_path / "disk/a/b").read_bytes() == b"x"


def test_the_folder_of_incoming_files_is_no_prefix_of_objects(local: LocalObjectStore) -> None:
    with local.writer("key") as writer:
        writer.write(b"x")
        with pytest.raises(InvalidKey):
            local.put(".incoming/x", b"x")
        with pytest.raises(InvalidKey):
            list(local.list(".incoming/"))
        assert list(local.list("")) == []


def test_old_leftovers_are_swept_and_live_writers_are_not(local: LocalObjectStore, tmp_path: Path) -> None:
    leftover = tmp_path / "objects/.incoming/leftover"
    leftover.write_bytes(b"half")
    two_days_ago = time.time() - 2 * 86400
    os.utime(leftover, (two_days_ago, two_days_ago))
    with local.writer("key") as writer:
        writer.write(b"x")
        assert local.sweep() == 1
        writer.commit()
    assert _files(tmp_path / "objects") == ["key"]


def test_an_upload_whose_bytes_were_swept_is_not_committed(local: LocalObjectStore, tmp_path: Path) -> None:
    with local.writer("key") as writer:
        writer.write(b"x")
        next((tmp_path / "objects/.incoming").iterdir()).unlink()
        with pytest.raises(StoreUnavailable, match="removed"):
            writer.commit()


def test_a_folder_that_is_gone_is_unavailable_rather_than_empty(local: LocalObjectStore, tmp_path: Path) -> None:
    local.put("key", b"x")
    (tmp_path / "objects").rename(tmp_path / "unmounted")
    calls: list[Callable[[], object]] = [
        lambda: local.get("key"),
        lambda: local.stat("key"),
        lambda: list(local.list("")),
        lambda: local.delete("key"),
        lambda: local.put("key", b"y"),
        local.sweep,
    ]
    for call in calls:
        with pytest.raises(StoreUnavailable):
            call()
    assert not (tmp_path / "objects").exists()


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable):
        open_store(str(tmp_path / "file" / "objects"))


def test_a_disk_that_takes_no_more_is_unavailable_and_keeps_nothing(local: LocalObjectStore, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, hard))
    try:
        with pytest.raises(StoreUnavailable, match=os.strerror(errno.EFBIG)):
            local.put("key", bytes(65537))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert _files(tmp_path / "objects") == []
    assert local.put("key", bytes(65537)).size_bytes == 65537


def test_errors_cross_processes() -> None:
    for error in (ObjectNotFound("k"), ObjectMismatch("k", "1", "2"), InvalidKey("k", "why"), StoreUnavailable("m")):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert str(copy) == str(error)
        assert vars(copy) == vars(error)
