"""What is the local folder's own: conflicts, symbolic links, leftovers, and a disk that fails."""

from __future__ import annotations

import errno
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.objects.digest import sha256_bytes
from storage.objects.errors import InvalidKey, ObjectMismatch, StoreUnavailable
from storage.objects.local import LocalObjectStore
from storage.objects.open import open_store


@pytest.fixture
def local(tmp_path: Path) -> LocalObjectStore:
    return LocalObjectStore(tmp_path / "objects")


def _files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


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


def test_a_file_of_the_same_file_system_is_taken_without_a_copy(tmp_path: Path) -> None:
    store, source = LocalObjectStore(tmp_path / "objects"), tmp_path / "checkpoint"
    source.write_bytes(b"weights")
    store.take_file("key", source)
    assert os.path.samefile(source, tmp_path / "objects" / "key")


def test_a_file_that_cannot_be_linked_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    store, source = LocalObjectStore(tmp_path / "objects"), tmp_path / "checkpoint"
    source.write_bytes(b"weights")
    monkeypatch.setattr(os, "link", refused)
    assert store.take_file("key", source).sha256 == sha256_bytes(b"weights")
    assert not os.path.samefile(source, tmp_path / "objects" / "key")
    assert list((tmp_path / "objects" / ".incoming").iterdir()) == []
