"""The client: pages, uploads that survive, watches without gap or repeat, errors."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import grpc
import pytest

from tests.cli.refusing import TOKEN
from tests.cli.stand_in import MODELS, StandIn
from visionmesh.client import Client, FolderError, Patience, UploadProgress, VisionMeshError, scan
from visionmesh.v1 import dataset_pb2, event_pb2, training_pb2


def contents(folder: Path) -> dict[str, bytes]:
    return {file.path: file.source.read_bytes() for file in scan(folder).files}


def start_job(client: Client, epochs: int = 3) -> str:
    spec = training_pb2.TrainingJobSpec(framework="timm", model_name="resnet18", dataset_id="d1", epochs=epochs)
    return client.start_job(client.create_job(spec).id).id


def test_models_come_from_all_pages(client: Client) -> None:
    names = [model.model_name for model in client.models()]
    assert len(names) == len(set(names)) == MODELS


def test_problems_of_frameworks_are_told(client: Client) -> None:
    assert client.frameworks().problems[0].framework == "yolo"


def test_scan_skips_hidden_files_and_names_them(folder: Path) -> None:
    found = scan(folder)
    assert [file.path for file in found.files] == [f"{label}/{n}.png" for label in ("cat", "dog") for n in range(3)]
    assert found.skipped == (".DS_Store", ".git/", "cat/Thumbs.db")
    assert found.size_bytes == sum(len(content) for content in contents(folder).values())


def test_scan_follows_a_link_once(folder: Path) -> None:
    (folder / "cat" / "loop").symlink_to(folder)
    assert "cat/loop/" in scan(folder).skipped


def test_scan_refuses_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="no file"):
        scan(tmp_path)


@pytest.mark.parametrize("one_stream", [False, True])
def test_upload_brings_every_byte(stand_in: StandIn, client: Client, folder: Path, one_stream: bool) -> None:
    told: list[UploadProgress] = []
    dataset = client.upload_folder(
        folder, tags=["a"], val_fraction=0.25, seed=7, progress=told.append, one_stream=one_stream
    )
    assert stand_in.datasets.files[dataset.id] == contents(folder)
    assert dataset.state == dataset_pb2.DATASET_STATE_ANALYZING
    spec = stand_in.datasets.specs[dataset.id]
    assert (spec.name, list(spec.tags), spec.val_fraction, spec.split_seed) == ("pets", ["a"], 0.25, 7)
    assert told[-1].bytes_done == told[-1].bytes_total == scan(folder).size_bytes
    assert max(progress.bytes_done for progress in told) == told[-1].bytes_total


def test_upload_goes_on_by_itself_after_a_break(stand_in: StandIn, client: Client, folder: Path) -> None:
    stand_in.datasets.break_after = 3
    told: list[UploadProgress] = []
    dataset = client.upload_folder(folder, progress=told.append, streams=1)
    assert stand_in.datasets.uploads == 2
    assert stand_in.datasets.files[dataset.id] == contents(folder)
    assert (told[-1].files_done, told[-1].bytes_done, told[-1].resumes) == (6, scan(folder).size_bytes, 1)
    first = next(progress for progress in told if progress.resumes == 1)
    assert (first.files_done, first.bytes_done) == (3, sum(file.size_bytes for file in scan(folder).files[:3]))


def test_several_streams_bring_every_byte_also_when_one_breaks(stand_in: StandIn, client: Client, folder: Path) -> None:
    stand_in.datasets.break_after = 1
    dataset = client.upload_folder(folder, streams=3)
    # One did break, and the upload went on; how many streams that took depends on who was how far.
    assert stand_in.datasets.break_after is None and stand_in.datasets.uploads > 1
    assert stand_in.datasets.files[dataset.id] == contents(folder)


def test_an_archive_is_sent_to_be_unpacked(stand_in: StandIn, client: Client, tmp_path: Path) -> None:
    archive = tmp_path / "many pets.tar.gz"
    archive.write_bytes(b"packed" * 500_000)
    told: list[UploadProgress] = []
    dataset = client.upload_folder(archive, progress=told.append)
    assert stand_in.datasets.specs[dataset.id].name == "many pets"
    assert stand_in.datasets.files[dataset.id] == {"many pets.tar.gz": archive.read_bytes()}
    assert stand_in.datasets.unpacked == ["many pets.tar.gz"]
    assert (told[-1].files_total, told[-1].bytes_done) == (0, 3_000_000)


def test_a_file_that_is_neither_folder_nor_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"x")
    with pytest.raises(FolderError, match=r"neither a folder nor an archive: .*\.tar\.zst"):
        scan(tmp_path / "photo.png")


def test_names_that_differ_in_their_encoding_alone_are_one(tmp_path: Path) -> None:
    (tmp_path / "e\u0301.png").write_bytes(b"1")
    assert [file.path for file in scan(tmp_path).files] == ["\u00e9.png"]
    (tmp_path / "\u00e9.png").write_bytes(b"2")
    with pytest.raises(FolderError, match="same name but for how its letters are encoded"):
        scan(tmp_path)


def test_an_upload_whose_every_file_is_there_sends_nothing(stand_in: StandIn, client: Client, folder: Path) -> None:
    dataset = client.upload_folder(folder)
    sent = stand_in.datasets.uploads
    told: list[UploadProgress] = []
    client.upload_folder(folder, resume=dataset.id, progress=told.append)
    assert stand_in.datasets.uploads == sent
    assert told == [UploadProgress(6, 6, scan(folder).size_bytes, scan(folder).size_bytes)]


def test_an_upload_that_gets_nowhere_is_given_up_and_says_so(stand_in: StandIn, client: Client, folder: Path) -> None:
    stand_in.datasets.broken = True
    began = time.monotonic()
    with pytest.raises(VisionMeshError, match=r"given up after 0\.5 s .* The server is draining") as caught:
        client.upload_folder(folder, patience=Patience(0.5))
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
    assert time.monotonic() - began >= 0.5


def test_upload_that_was_given_up_is_resumed(stand_in: StandIn, client: Client, folder: Path) -> None:
    stand_in.datasets.break_after = 3
    created: list[str] = []
    with pytest.raises(VisionMeshError) as caught:
        client.upload_folder(
            folder, on_created=lambda dataset: created.append(dataset.id), patience=Patience(0), streams=1
        )
    assert caught.value.code == grpc.StatusCode.UNAVAILABLE
    assert len(stand_in.datasets.files[created[0]]) == 3

    dataset = client.upload_folder(folder, resume=created[0])
    assert dataset.id == created[0]
    assert len(stand_in.datasets.datasets) == 1
    assert stand_in.datasets.files[dataset.id] == contents(folder)


def test_resume_refuses_a_file_that_changed(stand_in: StandIn, client: Client, folder: Path) -> None:
    stand_in.datasets.break_after = 3
    with pytest.raises(VisionMeshError):
        client.upload_folder(folder, patience=Patience(0), streams=1)
    (folder / "cat" / "0.png").write_bytes(b"another")
    with pytest.raises(FolderError, match=r"cat/0\.png has changed"):
        client.upload_folder(folder, resume="d1")


def test_a_file_that_cannot_be_read_ends_the_upload_with_its_own_error(client: Client, folder: Path) -> None:
    found = scan(folder)
    (folder / "dog" / "1.png").unlink()
    with pytest.raises(FileNotFoundError):
        client.upload_folder(found)


def test_dataset_is_watched_to_its_end(client: Client, folder: Path) -> None:
    dataset = client.upload_folder(folder)
    updates = [update.analyzed_files for update in client.watch_dataset(dataset.id)]
    assert updates == [1, 6]
    assert client.wait_for_dataset(dataset.id).state == dataset_pb2.DATASET_STATE_READY


def test_dataset_files_come_from_all_pages(client: Client, folder: Path) -> None:
    dataset = client.upload_folder(folder)
    digests = {file.path: file.sha256 for file in client.dataset_files(dataset.id)}
    assert digests == {path: hashlib.sha256(data).hexdigest() for path, data in contents(folder).items()}


def test_watch_reconnects_without_gap_or_repeat(stand_in: StandIn, client: Client) -> None:
    stand_in.training.break_every = 4
    job_id = start_job(client)
    tries: list[float] = []
    patience = Patience(10, lambda error, seconds: tries.append(seconds))
    sequences = [event.sequence for event in client.watch_job(job_id, patience=patience)]
    assert sequences == list(range(1, 13))
    assert stand_in.training.watches == [None, 4, 8]
    assert len(tries) == 2


def test_a_watch_of_what_is_kept_goes_on_where_something_was_removed(stand_in: StandIn, client: Client) -> None:
    stand_in.training.break_every = 4
    stand_in.training.removed_through = 6
    job_id = start_job(client)
    told: list[str] = []

    def reconnected(error: VisionMeshError, seconds: float) -> None:
        told.append(error.reason)
        stand_in.training.break_every = None

    sequences = [event.sequence for event in client.watch_job(job_id, patience=Patience(10, reconnected))]
    assert sequences == list(range(1, 13))
    assert told == ["SHUTTING_DOWN", "SEQUENCE_EXPIRED"]
    assert stand_in.training.watches == [None, 4, None]


def test_a_place_that_the_caller_gave_is_not_given_up(stand_in: StandIn, client: Client) -> None:
    stand_in.training.removed_through = 6
    job_id = start_job(client)
    with pytest.raises(VisionMeshError) as caught:
        list(client.watch_job(job_id, after_sequence=3, patience=Patience(10)))
    assert (caught.value.reason, caught.value.metadata["oldest_sequence"]) == ("SEQUENCE_EXPIRED", "7")
    assert stand_in.training.watches == [3]


def test_watch_goes_on_after_a_sequence(client: Client) -> None:
    job_id = start_job(client)
    assert [event.sequence for event in client.watch_job(job_id, after_sequence=9)] == [10, 11, 12]


def test_watch_gives_up_when_patience_ends(stand_in: StandIn, client: Client) -> None:
    job_id = start_job(client)
    stand_in.stop().wait()
    with pytest.raises(VisionMeshError) as caught:
        list(client.watch_job(job_id, patience=Patience(0.5)))
    assert caught.value.code == grpc.StatusCode.UNAVAILABLE


def test_watch_does_not_retry_what_retrying_cannot_mend(stand_in: StandIn, client: Client) -> None:
    with pytest.raises(VisionMeshError) as caught:
        list(client.watch_job("nothing"))
    assert caught.value.reason == "JOB_NOT_FOUND"
    assert stand_in.training.watches == []


def test_metrics_and_logs_are_watched(stand_in: StandIn, client: Client) -> None:
    stand_in.training.break_every = 8
    job_id = start_job(client)
    assert [metric.epoch for metric in client.watch_metrics(job_id)] == [1, 2, 3]
    stand_in.training.break_every = None
    assert [line.message for line in client.watch_logs(job_id)] == ["cpu"]


def test_leaving_a_watch_cancels_its_call(stand_in: StandIn, client: Client) -> None:
    stand_in.training.hang = True
    job_id = start_job(client)
    for event in client.watch_job(job_id):
        if event.WhichOneof("payload") == "metric":
            break
    stand_in.training.hang = False
    assert isinstance(event.metric, event_pb2.MetricPoint)


def test_predict_takes_bytes_and_paths(client: Client, folder: Path) -> None:
    image = folder / "cat" / "0.png"
    assert client.predict(image, job_id="j1").classifications[0].label == "cat"
    assert client.predict(image.read_bytes(), checkpoint_id="c1").checkpoint_id == "c1"
    with pytest.raises(ValueError, match="either"):
        client.predict(image)


def test_a_stream_of_predictions_keeps_the_order(client: Client, folder: Path) -> None:
    image = folder / "cat" / "0.png"
    images: list[bytes | Path] = [image, b"no image", *[image.read_bytes()] * 30]
    answers = list(client.predict_stream(iter(images), job_id="j1", top_k=1))
    assert [answer.tag for answer in answers] == [str(number) for number in range(32)]
    assert [answer.failure.reason for answer in answers if answer.HasField("failure")] == ["IMAGE_UNREADABLE"]
    # What the first says holds for all.
    given = [answer.response for answer in answers if answer.HasField("response")]
    assert {(response.job_id, len(response.classifications)) for response in given} == {("j1", 1)}
    assert list(client.predict_stream([], checkpoint_id="c1")) == []
    with pytest.raises(ValueError, match="either"):
        client.predict_stream([image])
    with pytest.raises(FileNotFoundError):
        list(client.predict_stream([image, folder / "nothing.png"], job_id="j1"))


def test_errors_carry_reason_violations_and_metadata(stand_in: StandIn, client: Client) -> None:
    with pytest.raises(VisionMeshError) as caught:
        client.create_dataset(dataset_pb2.DatasetSpec())
    assert caught.value.reason == "INVALID_REQUEST"
    assert [violation.field for violation in caught.value.violations] == ["dataset.name", "dataset.tags"]
    with Client(stand_in.address, TOKEN + "x") as stranger, pytest.raises(VisionMeshError) as caught:
        stranger.frameworks()
    assert caught.value.code == grpc.StatusCode.UNAUTHENTICATED
