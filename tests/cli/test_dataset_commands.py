"""``datasets download``, ``preview`` and ``update``, against a stand-in that may be hostile."""

from __future__ import annotations

import io
import os
import tarfile
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.stand_in import StandIn
from tests.cli.stand_in_datasets import tar
from visionmesh.client import Client, DownloadProgress
from visionmesh.v1 import dataset_pb2


@pytest.fixture
def uploaded(client: Client, folder: Path) -> dataset_pb2.Dataset:
    return client.upload_folder(folder)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_comes_back_as_it_was_sent(
    visionmesh: Command, stand_in: StandIn, uploaded: dataset_pb2.Dataset, tmp_path: Path
) -> None:
    done = visionmesh("datasets", "download", uploaded.id, "copy")
    assert done.code == 0, done.err
    assert "downloaded 6 files, 2.4 MiB, to copy" in done.out
    assert contents(tmp_path / "copy") == stand_in.datasets.files[uploaded.id]
    assert oct((tmp_path / "copy" / "cat" / "0.png").stat().st_mode & 0o777) == oct(0o666 & ~_umask())
    again = visionmesh("datasets", "download", uploaded.id, "copy", "--json")
    assert again.document == {
        "dataset_id": "d1", "path": "copy", "files": 0, "size_bytes": "0", "files_there": 6
    }  # fmt: skip


def test_only_what_is_missing_or_changed_is_written(
    visionmesh: Command, stand_in: StandIn, uploaded: dataset_pb2.Dataset, tmp_path: Path
) -> None:
    visionmesh("datasets", "download", uploaded.id)
    copy = tmp_path / uploaded.id
    (copy / "cat" / "1.png").unlink()
    (copy / "dog" / "0.png").write_bytes(b"changed")
    (copy / "mine.txt").write_text("stays")
    os.utime(copy / "cat" / "0.png", (1, 1))
    assert "downloaded 2 files" in (done := visionmesh("datasets", "download", uploaded.id)).out
    assert "4 were there" in done.out
    assert contents(copy) == {**stand_in.datasets.files[uploaded.id], "mine.txt": b"stays"}
    assert (copy / "cat" / "0.png").stat().st_mtime == 1


def test_far_ahead_of_what_is_missing_a_new_stream_begins(
    client: Client,
    stand_in: StandIn,
    uploaded: dataset_pb2.Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("visionmesh.calls.downloading._PASSED_OVER_BYTES", 1000)
    stand_in.datasets.files[uploaded.id]["zoo.txt"] = b"the last"
    client.download_dataset(uploaded.id, tmp_path / "copy")
    for path in ("cat/1.png", "dog/0.png", "zoo.txt"):
        (tmp_path / "copy" / path).unlink()
    stand_in.datasets.downloads.clear()
    done = client.download_dataset(uploaded.id, tmp_path / "copy")
    assert (done.files, done.files_there) == (3, 4)
    # The small file between the first two is read past, the large one before the third is not.
    assert [request.after_path for request in stand_in.datasets.downloads] == ["cat/0.png", "dog/2.png"]
    assert contents(tmp_path / "copy") == stand_in.datasets.files[uploaded.id]


def test_a_part_is_chosen_by_prefix(visionmesh: Command, uploaded: dataset_pb2.Dataset, tmp_path: Path) -> None:
    assert visionmesh("datasets", "download", uploaded.id, "copy", "--prefix", "cat/").code == 0
    assert sorted(contents(tmp_path / "copy")) == ["cat/0.png", "cat/1.png", "cat/2.png"]


def test_an_archive_is_saved_as_it_comes(
    visionmesh: Command, stand_in: StandIn, uploaded: dataset_pb2.Dataset, tmp_path: Path
) -> None:
    (tmp_path / "pets.tar").write_bytes(b"an older one")
    done = visionmesh("datasets", "download", uploaded.id, "--archive", "pets.tar")
    assert done.code == 0, done.err
    with tarfile.open(tmp_path / "pets.tar") as archive:
        found = {entry.name: archive.extractfile(entry).read() for entry in archive}  # type: ignore[union-attr]
    assert found == stand_in.datasets.files[uploaded.id]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".visionmesh")] == []
    assert visionmesh("datasets", "download", uploaded.id, "x", "--archive", "y.tar").code == 2


def test_progress_counts_to_the_end(client: Client, uploaded: dataset_pb2.Dataset, tmp_path: Path) -> None:
    for bring, name in ((client.download_dataset, "copy"), (client.download_archive, "copy.tar")):
        told: list[DownloadProgress] = []
        bring(uploaded.id, tmp_path / name, progress=told.append)
        assert told[0] == DownloadProgress(0, 6, 0, uploaded.total_size_bytes)
        assert told[-1] == DownloadProgress(6, 6, uploaded.total_size_bytes, uploaded.total_size_bytes)
        assert [item.bytes_done for item in told] == sorted(item.bytes_done for item in told)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _link(name: str, target: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        archive.addfile(entry)
    return file.getvalue()


@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize(
    "sent",
    [
        tar({"../escaped": b"x"}),
        tar({"/tmp/escaped": b"x"}),
        tar({"cat/0.png": b"other bytes"}),
        tar({"cat/not-listed.png": b"x"}),
        _link("cat/0.png", "../../escaped"),
        b"no archive at all" * 100,
        b"",
        tar({"cat/0.png": b"x" * 2000})[:1000],
    ],
    ids=["above", "absolute", "other bytes", "not listed", "link", "no archive", "empty", "cut short"],
)
def test_a_hostile_archive_changes_nothing_outside_and_leaves_nothing_half(
    visionmesh: Command, stand_in: StandIn, uploaded: dataset_pb2.Dataset, tmp_path: Path, sent: bytes, archive: bool
) -> None:
    stand_in.datasets.archive = sent
    place = tmp_path / "inner" / "copy"
    place.parent.mkdir()
    before = contents(tmp_path)
    done = visionmesh("datasets", "download", uploaded.id, *(["--archive"] if archive else []), str(place))
    assert done.code == 1, done
    assert "is not what it lists" in done.err and "Traceback" not in done.err
    assert contents(tmp_path) == before


@pytest.mark.parametrize("path", ["../escaped", "/tmp/escaped", "a/../../escaped", "a//b", "a\\..\\b", "C:/b", "."])
def test_a_hostile_listing_is_refused_before_anything_is_asked_for(
    visionmesh: Command, stand_in: StandIn, uploaded: dataset_pb2.Dataset, tmp_path: Path, path: str
) -> None:
    stand_in.datasets.files[uploaded.id][path] = b"x"
    before = contents(tmp_path)
    done = visionmesh("datasets", "download", uploaded.id, "copy")
    assert done.code == 2
    assert "may lie outside" in done.err
    assert contents(tmp_path) == before


def test_a_link_in_the_folder_does_not_lead_out(
    visionmesh: Command, stand_in: StandIn, uploaded: dataset_pb2.Dataset, tmp_path: Path
) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "copy" / "cat").symlink_to(tmp_path / "elsewhere")
    done = visionmesh("datasets", "download", uploaded.id, "copy")
    assert done.code == 2 and "leads out of" in done.err
    assert contents(tmp_path / "elsewhere") == {}
    # A link in a file's own place is replaced, and what it points to stays.
    (tmp_path / "copy" / "cat").unlink()
    (tmp_path / "copy" / "cat").mkdir()
    (tmp_path / "precious").write_bytes(b"stays")
    (tmp_path / "copy" / "cat" / "0.png").symlink_to(tmp_path / "precious")
    assert visionmesh("datasets", "download", uploaded.id, "copy").code == 0
    assert (tmp_path / "precious").read_bytes() == b"stays"
    assert contents(tmp_path / "copy") == stand_in.datasets.files[uploaded.id]


def test_what_a_killed_download_left_is_removed(
    visionmesh: Command, uploaded: dataset_pb2.Dataset, tmp_path: Path
) -> None:
    (tmp_path / "copy").mkdir()
    old, fresh = (tmp_path / "copy" / f".visionmesh-part-{name}" for name in ("old", "fresh"))
    for part in (old, fresh):
        part.write_bytes(b"half a file")
    os.utime(old, (time.time() - 7200,) * 2)
    assert visionmesh("datasets", "download", uploaded.id, "copy").code == 0
    assert (old.exists(), fresh.exists()) == (False, True)


def test_a_dataset_that_is_not_there_is_not_downloaded(visionmesh: Command, tmp_path: Path) -> None:
    done = visionmesh("datasets", "download", "d9", "copy")
    assert (done.code, "DATASET_NOT_FOUND" in done.err) == (3, True)
    assert not (tmp_path / "copy").exists()


def test_a_preview_is_named_and_encoded_by_what_it_shows(
    visionmesh: Command, uploaded: dataset_pb2.Dataset, tmp_path: Path
) -> None:
    def asked(name: str) -> dataset_pb2.GetDatasetPreviewRequest:
        return dataset_pb2.GetDatasetPreviewRequest.FromString((tmp_path / name).read_bytes())

    done = visionmesh("datasets", "preview", uploaded.id)
    assert done.code == 0, done.err
    assert "saved d1.jpg: 2 images, 640 × 480" in done.out
    assert asked("d1.jpg") == dataset_pb2.GetDatasetPreviewRequest(
        dataset_id="d1", encoding=dataset_pb2.PREVIEW_ENCODING_JPEG
    )
    visionmesh("datasets", "preview", uploaded.id, "cat/a b.tif")
    assert asked("d1-cat-a-b.jpg").path == "cat/a b.tif"
    options = ("--count", "9", "--split", "val", "--class", "cat", "--seed", "3", "--plain", "--max-side", "300")
    done = visionmesh("datasets", "preview", uploaded.id, *options, "--output", "sheet.PNG", "--json")
    assert done.document["images"] == ["cat/0.png", "dog/0.png"] and done.document["path"] == "sheet.PNG"
    assert asked("sheet.PNG") == dataset_pb2.GetDatasetPreviewRequest(
        dataset_id="d1",
        max_side=300,
        encoding=dataset_pb2.PREVIEW_ENCODING_PNG,
        image_count=9,
        split="val",
        class_name="cat",
        seed=3,
        without_annotations=True,
    )
    assert visionmesh("datasets", "preview", uploaded.id, "--output", "sheet.gif").code == 2


def test_an_update_changes_what_is_given(visionmesh: Command, stand_in: StandIn, uploaded: dataset_pb2.Dataset) -> None:
    dataset = stand_in.datasets.datasets[uploaded.id]
    dataset.description, dataset.tags[:] = "old", ["a"]
    done = visionmesh("datasets", "update", "d1", "--name", "animals", "--visibility", "public")
    assert (done.code, done.out) == (0, "updated d1: animals\n")
    assert (dataset.name, dataset.description, list(dataset.tags)) == ("animals", "old", ["a"])
    assert dataset.visibility == dataset_pb2.VISIBILITY_PUBLIC
    visionmesh("datasets", "update", "d1", "--tag", "b", "--tag", "c", "--description", "")
    assert (dataset.name, dataset.description, list(dataset.tags)) == ("animals", "", ["b", "c"])
    assert visionmesh("datasets", "update", "d1", "--no-tags", "--json").document["dataset"]["tags"] == []
    for wrong in ((), ("--visibility", "friends"), ("--tag", "a", "--no-tags")):
        assert visionmesh("datasets", "update", "d1", *wrong).code == 2
