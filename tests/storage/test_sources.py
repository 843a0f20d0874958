"""Sources of imports: how they are named, what they list, and what they refuse."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from storage.objects.digest import sha256_bytes
from storage.objects.errors import SourceUnreadable, StoreUnavailable
from storage.objects.local import LocalObjectStore
from storage.objects.s3_settings import S3Settings
from storage.objects.source import SourceFile, copy_file, open_source, source_location
from tests import s3_server


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("s3://bucket", "s3://bucket/"),
        ("s3://bucket/a b/ü", "s3://bucket/a b/ü/"),
        ("s3://bucket/a/", "s3://bucket/a/"),
        ("/", "/"),
        ("/data/raw", "/data/raw/"),
    ],
)
def test_a_location_has_one_spelling(given: str, kept: str) -> None:
    assert source_location(given) == source_location(kept) == kept


@pytest.mark.parametrize(
    "given",
    ["", "data", "./data", "~/data", "s3://", "s3:///a", "s3://b//a", "s3://b/../c", "/a/../b", "/a/./b", "/a//b",
     "/a\0", "/a\\b", "s3://b/a\n", "http://host/a", "s3://" + "a" * 3000, "s3://b?x/a"],
)  # fmt: skip
def test_what_names_no_location_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r"is |contains |names "):
        source_location(given)


def test_links_into_what_is_denied_are_refused(tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "private.png").write_bytes(b"private")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "link.png").symlink_to(tmp_path / "objects" / "private.png")
    source = open_source(f"{tmp_path}/raw/", str(tmp_path), str(tmp_path / "objects"), S3Settings())
    with pytest.raises(SourceUnreadable, match=r"link\.png"):
        [*source.files()]
    with pytest.raises(SourceUnreadable, match=r"link\.png"):
        [*source.read("link.png")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    (tmp_path / "closed").write_bytes(b"x")
    (tmp_path / "closed").chmod(stat.S_IWUSR)
    source = open_source(f"{tmp_path}/", str(tmp_path), "", S3Settings())
    with pytest.raises(SourceUnreadable, match="closed"):
        [*source.read("closed")]


def test_a_file_that_changed_since_it_was_listed_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    store = LocalObjectStore(tmp_path / "objects")
    source = open_source(f"{tmp_path}/raw/", str(tmp_path / "raw"), "", S3Settings())
    for listed, content in ((3, b"longer"), (10, b"short")):
        (tmp_path / "raw" / "file").write_bytes(content)
        with pytest.raises(SourceUnreadable, match="changed"):
            copy_file(source, SourceFile("file", listed), store, "key")
    assert [*store.list("")] == []
    info = copy_file(source, SourceFile("file", 5), store, "key")
    assert (info.size_bytes, info.sha256) == (5, sha256_bytes(b"short"))


def test_a_bucket_lists_all_its_pages_and_tells_outages_from_refusals(tmp_path: Path) -> None:
    with s3_server.running(s3_server.moto(), tmp_path / "moto") as server:
        bucket, client = server.new_bucket(), server.client()
        for number in range(1003):
            client.put_object(Bucket=bucket, Key=f"raw/{number:04}", Body=b"x")
        source = open_source(f"s3://{bucket}/raw/", f"s3://{bucket}/", "", server.settings())
        assert [file.name for file in source.files()] == [f"{number:04}" for number in range(1003)]
        assert b"".join(source.read("0007")) == b"x"
        with pytest.raises(SourceUnreadable, match="missing"):
            [*source.read("missing")]
        gone = open_source("s3://nowhere/", "s3://nowhere/", "", server.settings())
        with pytest.raises(SourceUnreadable, match="NoSuchBucket"):
            [*gone.files()]
        server.stop()
        with pytest.raises(StoreUnavailable):
            [*source.files()]
        with pytest.raises(StoreUnavailable):
            [*source.read("0007")]
