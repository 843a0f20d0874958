"""A trainer's disk that is really full: a small file system of its own, which a training fills."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.failures.checker import check_job
from tests.failures.mesh import COMPLETED, FAILED, Mesh
from visionmesh.v1 import dataset_pb2

DISK_BYTES = 8 << 20
# A user's own namespace may mount where the machine's may not.
UNSHARE = ("unshare", "--map-root-user", "--mount")
MOUNT = 'mount -t tmpfs -o "size=$1" tmpfs "$2" && shift 2 && exec "$@"'


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """A mesh whose trainer has a disk of a few megabytes."""
    folder = tmp_path_factory.mktemp("mesh").resolve()
    data = folder / "trainer" / "data"
    data.mkdir(parents=True)
    before = [*UNSHARE, "sh", "-c", MOUNT, "sh", str(DISK_BYTES), str(data)]
    if subprocess.run([*before, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody mount a file system of his own")
    with Mesh(folder, before_trainer=before) as mesh:
        # Seen from outside by way of the process that has it.
        mesh.data = Path(f"/proc/{mesh.trainer.pid}/root") / data.relative_to("/")
        yield mesh


def test_a_training_that_fills_the_disk_fails_and_says_so(mesh: Mesh, dataset: dataset_pb2.Dataset) -> None:
    job_id = mesh.started(dataset, epochs=5, abacus_trouble="fill the disk", abacus_epoch=3)
    job = mesh.ended(job_id)
    assert (job.state, job.failure.reason) == (FAILED, "DISK_FULL"), job.failure
    assert "Make room" in job.failure.message
    assert job.current_epoch >= 2
    check_job(mesh, job_id)
    assert {1, 2} <= {checkpoint.epoch for checkpoint in mesh.client.checkpoints(job_id)}
    # What the run itself had taken is free again.
    assert (mesh.ended(mesh.started(dataset))).state == COMPLETED


def test_a_run_that_finds_the_disk_full_does_not_begin_and_does_when_there_is_room(
    mesh: Mesh, dataset: dataset_pb2.Dataset
) -> None:
    ballast = mesh.data / "ballast"
    with suppress(OSError):
        ballast.write_bytes(bytes(DISK_BYTES))
    job_id = mesh.started(dataset)
    job = mesh.ended(job_id)
    assert (job.state, job.failure.reason, job.failure.metadata["cause"]) == (FAILED, "START_REFUSED", "DISK_FULL")
    assert "disk is full" in job.failure.message
    ballast.unlink()
    mesh.client.start_job(job_id)
    assert mesh.ended(job_id).state == COMPLETED
    check_job(mesh, job_id)
