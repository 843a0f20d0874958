"""The manifest that fixes a dataset, and the keys under which it and all else lies."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.objects import keys
from storage.objects.digest import sha256_bytes
from storage.objects.manifest import SPLITS, AnnotationsReference, Manifest, ManifestFile, digest

CAT = ManifestFile("train/cat/1.png", 3, sha256_bytes(b"cat"), "train", 0)
DOG = ManifestFile("val/dog/ö.png", 3, sha256_bytes(b"dog"), "val", 1)
README = ManifestFile("readme.txt", 0, sha256_bytes(b""), "", None)
MANIFEST = Manifest("d1", "DICE", ("CLASSIFICATION",), ("cat", "dög"), (CAT, DOG, README))


def test_the_bytes_are_canonical_json() -> None:
    data = Manifest("d1", "DICE", ("CLASSIFICATION",), ("cät",), (replace(CAT, sha256="0" * 64),)).to_bytes()
    assert data.decode() == (
        '{"annotations":null,"class_names":["cät"],"dataset_id":"d1","files":[{"label_id":0,"path":"train/cat/1.png","sha256":"'
        + "0" * 64
        + '","size_bytes":3,"split":"train"}],"format":"DICE","task_types":["CLASSIFICATION"],"version":1}'
    )
    assert digest(data) == sha256_bytes(data)


def test_annotations_are_named_by_digest_and_size() -> None:
    named = replace(MANIFEST, annotations=AnnotationsReference("a" * 64, 712))
    assert f'"annotations":{{"sha256":"{"a" * 64}","size_bytes":712}}' in named.to_bytes().decode()
    assert Manifest.from_bytes(named.to_bytes()) == named
    assert digest(named.to_bytes()) != digest(MANIFEST.to_bytes())


def test_the_order_in_which_files_were_uploaded_does_not_change_the_digest() -> None:
    other = replace(MANIFEST, files=(DOG, README, CAT))
    assert other == MANIFEST
    assert other.to_bytes() == MANIFEST.to_bytes()


_files = st.dictionaries(
    st.from_regex(r"[a-zé]{1,4}(/[a-z. ]{0,3}[a-zß])?", fullmatch=True),
    st.tuples(
        st.integers(0, 2**62), st.binary(max_size=2), st.sampled_from(SPLITS), st.none() | st.sampled_from((0, 1))
    ),
    max_size=5,
)


@given(_files, st.lists(st.text(st.characters(codec="utf-8")), min_size=2, max_size=4, unique=True))
@settings(max_examples=50)
def test_what_is_written_reads_back_the_same(
    files: dict[str, tuple[int, bytes, str, int | None]], class_names: list[str]
) -> None:
    folders = {path.partition("/")[0] for path in files if "/" in path}
    manifest = Manifest(
        "d1",
        "IMAGE_FOLDER",
        ("CLASSIFICATION",),
        tuple(class_names),
        tuple(
            ManifestFile(path, size, sha256_bytes(content), split, label)
            for path, (size, content, split, label) in files.items()
            if path not in folders
        ),
    )
    data = manifest.to_bytes()
    assert Manifest.from_bytes(data) == manifest
    assert Manifest.from_bytes(data).to_bytes() == data


def _changed(**values: Any) -> bytes:
    return _canonical({**json.loads(MANIFEST.to_bytes()), **values})


def _changed_file(**values: Any) -> bytes:
    content = json.loads(MANIFEST.to_bytes())
    content["files"][0] = {**content["files"][0], **values}
    return _canonical(content)


def _canonical(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _without(name: str) -> bytes:
    content = json.loads(MANIFEST.to_bytes())
    del content[name]
    return _canonical(content)


def test_the_changed_manifests_below_differ_from_a_good_one_only_by_their_change() -> None:
    assert _changed() == _changed_file() == MANIFEST.to_bytes()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"[" * 100_000,
        MANIFEST.to_bytes()[:-1],
        MANIFEST.to_bytes() + b"\n",
        MANIFEST.to_bytes().replace(b'"version":1', b'"version": 1'),
        MANIFEST.to_bytes().replace(b'"version":1', b'"version":1,"version":1'),
        json.dumps(json.loads(MANIFEST.to_bytes()), sort_keys=True, separators=(",", ":")).encode(),
        _without("class_names"),
        _without("version"),
        _changed(more=1),
        _changed(version=2),
        _changed(version=True),
        _changed(version=1.0),
        _changed(dataset_id=""),
        _changed(dataset_id=7),
        _changed(format=None),
        _changed(task_types="CLASSIFICATION"),
        _changed(class_names=["cat", "cat"]),
        _changed(class_names=["cat", 1]),
        _changed(class_names=["cat"]),  # label 1 is no class any more
        _changed(files={}),
        _changed(files=[1]),
        _changed(files=list(reversed(json.loads(MANIFEST.to_bytes())["files"]))),
        _changed(files=[json.loads(MANIFEST.to_bytes())["files"][0]] * 2),
        _changed_file(path="../outside"),
        _changed_file(path="/etc/passwd"),
        _changed_file(path="a\\b"),
        _changed_file(path="cafe\u0301"),
        _changed_file(path="train"),  # a folder of another file
        _changed_file(size_bytes=-1),
        _changed_file(size_bytes=1.5),
        _changed_file(size_bytes=True),
        _changed_file(size_bytes="1"),
        _changed_file(sha256=""),
        _changed_file(sha256="A" * 64),
        _changed_file(split="validation"),
        _changed_file(label_id=-1),
        _changed_file(label_id=2),
        _changed_file(label_id=False),
        _changed_file(more=1),
        MANIFEST.to_bytes().replace(b'"d1"', b'"\\ud800"'),
    ],
)
def test_anything_off_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        Manifest.from_bytes(data)


def test_a_manifest_that_could_not_be_read_back_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="no class"):
        replace(MANIFEST, class_names=("cat",))
    with pytest.raises(ValueError, match="repeats"):
        replace(MANIFEST, files=(CAT, CAT))
    with pytest.raises(ValueError, match="sha256"):
        replace(CAT, sha256="abc")


def test_keys_lie_where_the_architecture_says() -> None:
    assert keys.dataset_prefix("ds-1") == "datasets/ds-1/"
    assert keys.dataset_file("ds-1", "train/cat/1.png") == "datasets/ds-1/train/cat/1.png"
    assert keys.manifest("ds-1") == "manifests/ds-1.json"
    assert keys.checkpoint_prefix("default", "job-1", "ckpt-1") == "checkpoints/default/job-1/ckpt-1/"


def test_an_empty_id_makes_no_key() -> None:
    with pytest.raises(ValueError):
        keys.checkpoint_prefix("", "job", "checkpoint")


@pytest.mark.parametrize("project", ["..", ".", "a/../b", "/", "a\\b", "a\0b", "ü" * 200, "😀" * 200, "x" * 5000])
def test_any_project_is_one_safe_key_part(project: str) -> None:
    prefix = keys.checkpoint_prefix(project, "job", "checkpoint")
    folder, part, *rest = prefix.split("/")
    assert (folder, rest) == ("checkpoints", ["job", "checkpoint", ""])
    assert part not in ("", ".", "..")
    assert part.isascii() and part.isprintable() and len(part) <= 200


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"), min_size=1))
def test_different_projects_never_share_a_prefix(one: str, other: str) -> None:
    same = keys.checkpoint_prefix(one, "job", "checkpoint") == keys.checkpoint_prefix(other, "job", "checkpoint")
    assert same == (one == other)


def test_a_project_cannot_take_the_shortened_name_of_another() -> None:
    shortened = keys.checkpoint_prefix("x" * 300, "job", "checkpoint").split("/")[1]
    assert keys.checkpoint_prefix(shortened, "job", "checkpoint").split("/")[1] != shortened
