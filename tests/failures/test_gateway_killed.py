"""A gateway that is SIGKILLed where it hurts most comes back, and nobody notices but by the wait."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from rpc.kill_points import KillPoint
from storage.objects import keys
from tests.end_to_end import digits
from tests.end_to_end.processes import until
from tests.failures.checker import check_job, states
from tests.failures.ingest import killed_twice_while_it_takes_events
from tests.failures.mesh import COMPLETED, KILL_AT, Mesh
from visionmesh.client import Patience, VisionMeshError
from visionmesh.v1 import dataset_pb2

DICE = dataset_pb2.DATASET_FORMAT_DICE
PATIENCE_SECONDS = 60.0
READY = dataset_pb2.DATASET_STATE_READY


def owners(mesh: Mesh) -> set[str]:
    """The datasets that have objects."""
    return {info.key.split("/")[1] for info in mesh.store().list("datasets/")}


def test_a_job_is_dispatched_once_wherever_the_gateway_dies_while_it_does(
    mesh: Mesh, dataset: dataset_pb2.Dataset
) -> None:
    job = mesh.create(dataset)
    mesh.rearm(mesh.gateway, KillPoint.DISPATCH_BEFORE_COMMIT)
    mesh.client.start_job(job.id)
    mesh.gateway.wait_until_killed()
    # Nothing was recorded: the next one finds the job in the queue, and dies when it has recorded the run.
    mesh.gateway.launch(**{KILL_AT: KillPoint.DISPATCH_RECORDED})
    mesh.gateway.wait_until_killed()
    assert mesh.run_folders(job.id) == []
    # The run is recorded, and the start is made again: once it is made, the gateway dies before it knows.
    mesh.gateway.launch(**{KILL_AT: KillPoint.DISPATCH_STARTED})
    mesh.gateway.wait_until_killed()
    [started] = mesh.run_folders(job.id)
    mesh.gateway.start()
    done = mesh.ended(job.id)
    assert (done.state, done.attempt) == (COMPLETED, 1)
    assert [folder.path for folder in mesh.run_folders(job.id)] == [started.path]
    assert states(check_job(mesh, job.id)) == ["PENDING", "QUEUED", "PREPARING", "RUNNING", "COMPLETED"]


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (f"{KillPoint.INGEST_BEFORE_COMMIT}:1", f"{KillPoint.INGEST_AFTER_COMMIT}:2"),
        (f"{KillPoint.INGEST_BEFORE_COMMIT}:3", KillPoint.REMOVAL_OF_OBJECTS),
    ],
)
def test_no_event_is_lost_or_told_twice_wherever_the_gateway_dies_while_it_takes_them(
    mesh: Mesh, dataset: dataset_pb2.Dataset, first: str, then: str
) -> None:
    job_id = killed_twice_while_it_takes_events(mesh, dataset, first, then)
    # What superseded checkpoints said of single images is removed by the sweep of a start, where that was missed.
    mesh.rearm(mesh.gateway)
    until(lambda: len([*mesh.store().list(f"{keys.VALIDATION_IMAGES}default/{job_id}/")]) == 1)
    # Those of the best checkpoint, which is also the last, are there.
    assert list(mesh.client.validation_images(job_id))


def test_an_upload_goes_on_wherever_the_gateway_dies_while_it_takes_files(mesh: Mesh, tmp_path: Path) -> None:
    contents = digits.files(classes=2, per_class=8, val=2)
    folder = digits.write(tmp_path, contents)
    mesh.rearm(mesh.gateway, KillPoint.UPLOAD_STORED)
    with ThreadPoolExecutor(1) as thread:
        # One call of the client, which is told of nothing.
        uploading = thread.submit(
            mesh.client.upload_folder, folder, "broken", format=DICE, patience=Patience(PATIENCE_SECONDS)
        )
        mesh.gateway.wait_until_killed()
        # What has no record goes at the start; what was recorded and not acknowledged is not asked for again.
        mesh.gateway.start(**{KILL_AT: KillPoint.UPLOAD_RECORDED})
        mesh.gateway.wait_until_killed()
        mesh.gateway.start()
        dataset = uploading.result()
    mesh.wait_until_ready()
    assert mesh.client.wait_for_dataset(dataset.id).state == READY
    wanted = {path: hashlib.sha256(data).hexdigest() for path, data in contents.items()}
    assert {file.path: file.sha256 for file in mesh.client.dataset_files(dataset.id)} == wanted
    prefix = keys.dataset_prefix(dataset.id)
    assert {info.key.removeprefix(prefix) for info in mesh.store().list(prefix)} == set(wanted)
    assert [found.id for found in mesh.client.datasets() if found.name == "broken"] == [dataset.id]


def test_a_dataset_becomes_ready_wherever_the_gateway_dies_at_the_end_of_its_analysis(
    mesh: Mesh, tmp_path: Path
) -> None:
    folder = digits.write(tmp_path, digits.files(classes=2, per_class=4, val=2))
    mesh.rearm(mesh.gateway, KillPoint.ANALYSIS_MANIFEST_STORED)
    dataset = mesh.client.upload_folder(folder, "analysed", format=DICE)
    mesh.gateway.wait_until_killed()
    first = mesh.store().get(keys.manifest(dataset.id))
    mesh.gateway.launch(**{KILL_AT: KillPoint.ANALYSIS_READY})
    mesh.gateway.wait_until_killed()
    mesh.gateway.start()
    mesh.wait_until_ready()
    # It was READY before the second death: what is READY is not looked at again.
    ready = mesh.client.get_dataset(dataset.id)
    assert ready.state == READY
    assert ready.manifest_digest == hashlib.sha256(first).hexdigest()
    assert mesh.store().get(keys.manifest(dataset.id)) == first


def test_what_a_killed_gateway_had_to_remove_goes_with_the_next_start(mesh: Mesh, tmp_path: Path) -> None:
    folder = digits.write(tmp_path, digits.files(classes=2, per_class=4, val=2))
    doomed = digits.upload(mesh.client, folder, "doomed")
    before = {dataset.id for dataset in mesh.client.datasets()} - {doomed.id}
    mesh.rearm(mesh.gateway, KillPoint.REMOVAL_OF_DATASET)
    with pytest.raises(VisionMeshError) as caught:
        mesh.client.delete_dataset(doomed.id)
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    mesh.gateway.wait_until_killed()
    assert any(mesh.store().list(keys.dataset_prefix(doomed.id)))
    # An upload in one stream is whole or nothing: killed before its record, it leaves objects that belong to nobody.
    mesh.gateway.start(**{KILL_AT: KillPoint.UPLOAD_STORED})
    mesh.wait_until_ready()
    assert not any(doomed.id in info.key for info in mesh.store().list(""))
    with pytest.raises(VisionMeshError) as caught:
        mesh.client.upload_folder(folder, "nothing", format=DICE, one_stream=True)
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    mesh.gateway.wait_until_killed()
    assert owners(mesh) - before
    mesh.gateway.start()
    mesh.wait_until_ready()
    assert {dataset.id for dataset in mesh.client.datasets()} == before
    assert owners(mesh) <= before
