"""What a mesh stands on goes away for a while in mid-training: callers are told so, and nothing is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from rpc.kill_points import KillPoint
from tests import postgresql_server, s3_server
from tests.end_to_end import digits
from tests.end_to_end.processes import until
from tests.failures.checker import check_job
from tests.failures.ingest import killed_twice_while_it_takes_events
from tests.failures.mesh import COMPLETED, ENDLESS, FAILED, RUNNING, SLOWLY, STOPPED, Mesh
from tests.postgresql_server import PostgreSQLServer
from tests.proxy import Proxy
from tests.trainer.held_models import picture
from visionmesh.client import VisionMeshError
from visionmesh.v1 import dataset_pb2

EPOCHS = 20
# More than the longest wait of an agent that looks for its gateway again.
LEASE_SECONDS = 7.0


@pytest.fixture(scope="module")
def database() -> Iterator[PostgreSQLServer]:
    with postgresql_server.running() as server:
        yield server


@pytest.fixture(scope="module")
def way_to_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, s3_server.S3Server]]:
    """An S3 server, and the one way to it."""
    with (
        s3_server.running(s3_server.nanio(), tmp_path_factory.mktemp("s3")) as server,
        Proxy(server.port) as proxy,
    ):
        yield proxy, server


@pytest.fixture(scope="module")
def proxy(way_to_store: tuple[Proxy, s3_server.S3Server]) -> Proxy:
    return way_to_store[0]


@pytest.fixture(scope="module")
def mesh(
    database: PostgreSQLServer,
    way_to_store: tuple[Proxy, s3_server.S3Server],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mesh]:
    """A mesh on PostgreSQL and S3, as a team runs it."""
    proxy, server = way_to_store
    environment = {
        **server.environment(),
        "VISIONMESH_S3_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}",
        "VISIONMESH_DATABASE_URL": database.new_database(),
        "VISIONMESH_OBJECT_STORE": f"s3://{server.new_bucket()}/mesh",
        "VISIONMESH_LEASE_SECONDS": str(LEASE_SECONDS),
        "VISIONMESH_CONTACT_LOST_SECONDS": "3",
    }
    with Mesh(tmp_path_factory.mktemp("mesh"), environment, s3=server.settings()) as mesh:
        yield mesh


def refused(mesh: Mesh, reason: str) -> bool:
    """Whether calls are refused for that reason, with a hint when to try again."""
    try:
        list(mesh.client.jobs())
    except VisionMeshError as error:
        assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, reason)
        assert error.retry_seconds and "127.0.0.1" not in error.message and "/tmp" not in error.message
        return True
    return False


def test_a_database_that_is_restarted_loses_no_event(
    mesh: Mesh, dataset: dataset_pb2.Dataset, database: PostgreSQLServer
) -> None:
    job_id = mesh.in_training(dataset, epochs=EPOCHS)
    [folder] = mesh.run_folders(job_id)
    database.stop()
    until(lambda: refused(mesh, "DATABASE_UNAVAILABLE"))
    # The training knows nothing of it; it may end before the database is back.
    until(lambda: folder.exit_code() == 0)
    assert not folder.is_ended()
    # Longer than a lease: nothing could be heard of the run, which is not the run's fault.
    time.sleep(LEASE_SECONDS + 1)
    database.start()
    until(lambda: not refused(mesh, "DATABASE_UNAVAILABLE"))
    done = mesh.ended(job_id)
    assert (done.state, done.attempt, done.current_epoch) == (COMPLETED, 1, EPOCHS)
    check_job(mesh, job_id)


def test_a_gateway_that_is_killed_while_it_takes_events_loses_none_on_postgresql(
    mesh: Mesh, dataset: dataset_pb2.Dataset
) -> None:
    killed_twice_while_it_takes_events(
        mesh, dataset, f"{KillPoint.INGEST_BEFORE_COMMIT}:2", KillPoint.INGEST_AFTER_COMMIT
    )


def test_metrics_go_on_without_the_object_store_and_the_job_ends_when_it_is_back(
    mesh: Mesh, dataset: dataset_pb2.Dataset, proxy: Proxy, tmp_path: Path
) -> None:
    job_id = mesh.in_training(dataset, epochs=EPOCHS)
    proxy.away()
    mesh.wait_for_epoch(job_id, EPOCHS)
    # An upload meanwhile is refused as a whole.
    folder = digits.write(tmp_path / "digits", digits.files(2, 2, 1))
    with pytest.raises(VisionMeshError) as caught:
        mesh.client.upload_folder(folder, "none", one_stream=True)
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "OBJECT_STORE_UNAVAILABLE")
    assert "none" not in [found.name for found in mesh.client.datasets()]
    # The user reads in the log what the job, which has all its metrics, waits for.
    until(lambda: any("object store cannot be used" in line.message for line in mesh.client.logs(job_id)))
    assert mesh.client.get_job(job_id).state == RUNNING
    proxy.back()
    done = mesh.ended(job_id)
    assert (done.state, done.attempt) == (COMPLETED, 1)
    check_job(mesh, job_id)
    assert [checkpoint.epoch for checkpoint in mesh.client.checkpoints(job_id)] == list(range(1, EPOCHS + 1))
    image = tmp_path / "image.png"
    image.write_bytes(picture())
    assert mesh.client.predict(image, job_id=job_id).classifications


def test_an_agent_without_a_key_publishes_to_the_object_store_what_a_gateway_signs(
    mesh: Mesh, dataset: dataset_pb2.Dataset, way_to_store: tuple[Proxy, s3_server.S3Server]
) -> None:
    job_id = mesh.in_training(dataset, epochs=EPOCHS)
    [folder] = mesh.run_folders(job_id)
    for process in (mesh.agent(job_id), mesh.training(job_id)):
        environment = Path(f"/proc/{process.pid}/environ").read_bytes()
        assert b"VISIONMESH_S3_ACCESS_KEY_ID=" not in environment
        assert s3_server.SECRET_ACCESS_KEY.encode() not in environment
    mesh.gateway.kill()
    # Nobody signs; the training knows nothing of it, and its checkpoints wait in the run folder.
    until(lambda: folder.exit_code() == 0)
    assert not folder.is_ended()
    mesh.gateway.start()
    mesh.wait_until_ready()
    done = mesh.ended(job_id)
    assert (done.state, done.attempt) == (COMPLETED, 1)
    check_job(mesh, job_id)
    checkpoints = list(mesh.client.checkpoints(job_id))
    assert [checkpoint.epoch for checkpoint in checkpoints] == list(range(1, EPOCHS + 1))
    assert not (mesh.folder / "objects").exists()


def test_an_agent_without_a_key_reads_the_checkpoint_that_its_run_goes_on_from(
    mesh: Mesh, dataset: dataset_pb2.Dataset
) -> None:
    job_id = mesh.in_training(dataset, epochs=EPOCHS, **SLOWLY)
    mesh.client.stop_job(job_id)
    stopped = mesh.ended(job_id)
    assert stopped.state == STOPPED
    done = mesh.resumed(job_id)
    assert (done.state, done.attempt, done.current_epoch) == (COMPLETED, 2, EPOCHS)
    check_job(mesh, job_id)
    assert mesh.run_folders(job_id)[-1].spec().resume_from.epoch == stopped.current_epoch >= 2


def test_a_machine_that_is_lost_costs_a_lease_and_its_run_is_not_heard_any_more(
    mesh: Mesh, dataset: dataset_pb2.Dataset
) -> None:
    job_id = mesh.in_training(dataset, epochs=ENDLESS, **SLOWLY)
    [lost] = mesh.run_folders(job_id)
    # Trainer server, agent and training, as if someone pulled the plug.
    mesh.trainer.kill()
    for process in (mesh.agent(job_id), mesh.training(job_id)):
        os.kill(process.pid, signal.SIGKILL)
    until(lambda: mesh.client.get_job(job_id).HasField("contact_lost_time"))
    assert mesh.client.get_job(job_id).state == RUNNING
    until(lambda: mesh.client.get_job(job_id).state == FAILED)
    failure = mesh.client.get_job(job_id).failure
    assert failure.reason == "LEASE_EXPIRED" and "resume" in failure.message
    # The machine is there again: what its run had left to tell comes too late.
    mesh.trainer.start()
    mesh.ended(job_id)
    assert lost.ended_why() == "abandoned"
    check_job(mesh, job_id)
