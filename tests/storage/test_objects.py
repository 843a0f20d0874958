"""The contract of object stores, told to every implementation."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from storage.objects.digest import sha256_bytes, sha256_file
from storage.objects.errors import InvalidKey, ObjectMismatch, ObjectNotFound, StoreUnavailable
from storage.objects.open import open_store
from storage.objects.store import NewObject, ObjectInfo, ObjectStore
from tests import s3_server

NewStore: TypeAlias = Callable[[], ObjectStore]

DATA = b"some bytes " * 1000


@pytest.fixture(scope="session", params=["local", "moto", "nanio"])
def new_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewStore]:
    """Opens empty stores, of every implementation in turn."""
    if request.param == "local":
        yield lambda: open_store(str(tmp_path_factory.mktemp("objects")))
    else:
        command = s3_server.moto() if request.param == "moto" else s3_server.nanio()
        with s3_server.running(command, tmp_path_factory.mktemp(request.param)) as server:
            yield server.new_store


@pytest.fixture
def store(new_store: NewStore) -> ObjectStore:
    return new_store()


def _keys(store: ObjectStore, prefix: str = "") -> list[str]:
    return [info.key for info in store.list(prefix)]


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


def test_a_copy_holds_the_same_bytes_and_outlives_the_first(store: ObjectStore) -> None:
    for key in ("a/b", "a b/ü+%.png"):
        store.put(key, DATA)
        store.put("other/copy", b"replaced")
        store.copy(key, "other/copy", sha256=sha256_bytes(DATA))
        store.delete(key)
        assert store.get("other/copy") == DATA
        assert store.stat("other/copy").sha256 in ("", sha256_bytes(DATA))
    with pytest.raises(ObjectNotFound) as caught:
        store.copy("nothing", "other/copy")
    assert caught.value.key == "nothing"
    assert store.get("other/copy") == DATA


def test_a_sweep_leaves_objects_alone(store: ObjectStore) -> None:
    store.put("a", DATA)
    with store.writer("b") as writer:
        writer.write(DATA)
        store.sweep()
        writer.commit()
    assert _keys(store) == ["a", "b"]


def test_keys_may_hold_any_text(store: ObjectStore) -> None:
    for key in ("a b/ü/日本.png", "a?b#cd&e=f+g", ".hidden/..x", "'\"<>|*:"):
        store.put(key, key.encode())
        assert store.get(key) == key.encode()
        assert key in _keys(store)


# The small server decodes keys twice and keeps them as files with names that it makes longer.
@pytest.mark.parametrize("new_store", ["local", "moto"], indirect=True)
def test_keys_may_look_encoded_or_be_long_and_a_prefix_is_no_object(store: ObjectStore) -> None:
    for key in ("a%2Fb", "x" * 255):
        store.put(key, b"x")
        assert store.get(key) == b"x"
    store.put("folder/object", b"x")
    store.delete("folder")
    assert _keys(store) == ["a%2Fb", "folder/object", "x" * 255]


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
    for wrong in (0, len(DATA) - 1, len(DATA) + 1):
        with pytest.raises(ObjectMismatch, match=f"expected {wrong} bytes"):
            store.get_file("key", target, sha256=sha256_bytes(DATA), size_bytes=wrong)
    assert not target.exists()
    for known in (None, len(DATA)):
        store.get_file("key", target, sha256=sha256_bytes(DATA), size_bytes=known)
        assert target.read_bytes() == DATA
        target.unlink()
    with pytest.raises(FileNotFoundError):
        store.put_file("key", tmp_path / "none", sha256=sha256_bytes(DATA))
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".partial")] == []


def test_a_file_that_is_taken_stays_where_it_is_and_may_then_be_removed(store: ObjectStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(DATA)
    taken = store.take_file("folder/key", source)
    assert (taken.key, taken.size_bytes, taken.sha256) == ("folder/key", len(DATA), sha256_bytes(DATA))
    assert source.read_bytes() == DATA
    assert store.take_file("folder/key", source) == taken  # as after an agent that was killed before it told of it
    source.unlink()
    assert store.get("folder/key") == DATA
    with pytest.raises(FileNotFoundError):
        store.take_file("other", source)
    assert _keys(store) == ["folder/key"]


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


def test_errors_cross_processes() -> None:
    for error in (ObjectNotFound("k"), ObjectMismatch("k", "1", "2"), InvalidKey("k", "why"), StoreUnavailable("m")):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert str(copy) == str(error)
        assert vars(copy) == vars(error)


def test_small_objects_are_stored_together_and_one_that_fails_leaves_the_others_alone(store: ObjectStore) -> None:
    new = [
        NewObject("a/1", b"one", sha256_bytes(b"one")),
        NewObject("a/2", b"two", sha256_bytes(b"other")),
        NewObject("a//3", b"three"),
        NewObject("a/4", b""),
    ]
    first, second, third, fourth = store.put_many(new)
    assert first == ObjectInfo("a/1", 3, sha256_bytes(b"one")) and fourth == ObjectInfo("a/4", 0, sha256_bytes(b""))
    assert isinstance(second, ObjectMismatch) and second.found == f"sha256 {sha256_bytes(b'two')}"
    assert isinstance(third, InvalidKey)
    assert [(info.key, store.get(info.key)) for info in store.list("")] == [("a/1", b"one"), ("a/4", b"")]
    assert store.put_many([]) == [] and store.objects_together >= 1
