"""Who may do what: tokens, and what belongs to another user."""

from __future__ import annotations

import stat
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import visionmesh
from storage.objects.store import ObjectStore
from tests.end_to_end import digits
from tests.end_to_end.conftest import Backend
from tests.end_to_end.refusals import Code, Raw, file, nothing_left, refused
from visionmesh.cli.processes import EmbeddedMesh
from visionmesh.client import Client
from visionmesh.v1 import (
    dataset_pb2,
    inference_pb2,
    job_state_pb2,
    registry_pb2,
    training_pb2,
)

CHECKOUT = Path(visionmesh.__file__).resolve().parents[1]
READY = dataset_pb2.DATASET_STATE_READY


def add_user(url: str, name: str) -> subprocess.CompletedProcess[str]:
    """The command that an operator uses; it prints a token."""
    return subprocess.run(
        [sys.executable, "-m", "storage.database", "add-user", url, name],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def stranger(backend: Backend, mesh: EmbeddedMesh) -> Iterator[Client]:
    """Another user, made while the gateway runs."""
    name = f"stranger-{uuid.uuid4().hex}"
    added = add_user(backend.url(mesh), name)
    assert added.returncode == 0, added.stderr
    with Client(mesh.address, added.stdout) as client:
        yield client
    again = add_user(backend.url(mesh), name)
    assert again.returncode == 1 and name in again.stderr


@pytest.fixture
def shared(client: Client, raw: Raw) -> Iterator[dataset_pb2.Dataset]:
    """A dataset that every user may see."""
    spec = dataset_pb2.DatasetSpec(
        name="shared", format=dataset_pb2.DATASET_FORMAT_DICE, visibility=dataset_pb2.VISIBILITY_PUBLIC
    )
    content = digits.files(2, 5, 2)
    dataset = client.wait_for_dataset(
        raw.upload_dataset(spec, [part for path in content for part in file(path, content[path])]).id
    )
    yield dataset
    client.delete_dataset(dataset.id)


def test_the_token_of_the_owner_is_readable_by_him_alone(mesh: EmbeddedMesh) -> None:
    assert stat.S_IMODE(mesh.token_file.stat().st_mode) == 0o600
    assert mesh.token_file.read_text().strip() == mesh.token


@pytest.mark.parametrize(("token", "reason"), [(None, "TOKEN_MISSING"), ("vm_wrong", "TOKEN_INVALID")])
def test_without_a_good_token_nothing_is_served(
    mesh: EmbeddedMesh, client: Client, store: ObjectStore, dataset: dataset_pb2.Dataset, token: str | None, reason: str
) -> None:
    raw = Raw(mesh.address, token)
    spec = dataset_pb2.DatasetSpec(name="x", format=dataset_pb2.DATASET_FORMAT_DICE)
    create = training_pb2.CreateJobRequest(job=digits.spec(dataset.id))
    with nothing_left(client, store):
        # One call of each kind and service.
        for call in (
            lambda: raw.registry.ListFrameworks(registry_pb2.ListFrameworksRequest(), metadata=raw.metadata),
            lambda: raw.training.CreateJob(create, metadata=raw.metadata),
            lambda: list(raw.training.WatchJob(training_pb2.WatchJobRequest(job_id="x"), metadata=raw.metadata)),
            lambda: raw.upload_files(dataset.id, file("train/0/x.png", digits.png(0))),
            lambda: raw.upload_dataset(spec, file("train/0/x.png", digits.png(0))),
            lambda: raw.inference.Predict(inference_pb2.PredictRequest(), metadata=raw.metadata),
        ):
            error = refused(call, Code.UNAUTHENTICATED, reason)
            assert token is None or token not in error.message
    # But for whether there is anyone.
    health = health_pb2_grpc.HealthStub(raw.channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    raw.channel.close()


def test_a_private_dataset_does_not_exist_for_another_user(
    mesh: EmbeddedMesh, stranger: Client, client: Client, store: ObjectStore, dataset: dataset_pb2.Dataset
) -> None:
    with nothing_left(client, store), nothing_left(stranger, store):
        assert dataset.id not in [found.id for found in stranger.datasets()]
        for call in (
            lambda: stranger.get_dataset(dataset.id),
            lambda: list(stranger.watch_dataset(dataset.id)),
            lambda: list(stranger.dataset_files(dataset.id)),
            lambda: list(stranger.dataset_problems(dataset.id)),
            lambda: stranger.finalize_dataset(dataset.id),
            lambda: stranger.delete_dataset(dataset.id),
            lambda: stranger.create_job(digits.spec(dataset.id)),
        ):
            # Word for word what is said of an id that nobody has.
            error = refused(call, Code.NOT_FOUND, "DATASET_NOT_FOUND")
            assert error.message.startswith(f"There is no dataset {dataset.id!r}")
    assert client.get_dataset(dataset.id).state == READY


def test_a_job_and_what_it_made_do_not_exist_for_another_user(
    stranger: Client, client: Client, trained: training_pb2.TrainingJob
) -> None:
    image = digits.png(0)
    assert client.predict(image, job_id=trained.id).classifications
    assert list(stranger.jobs()) == []
    for call in (
        lambda: stranger.get_job(trained.id),
        lambda: stranger.start_job(trained.id),
        lambda: stranger.stop_job(trained.id),
        lambda: list(stranger.watch_job(trained.id)),
        lambda: list(stranger.metrics(trained.id)),
        lambda: list(stranger.logs(trained.id)),
        lambda: list(stranger.checkpoints(trained.id)),
        lambda: stranger.predict(image, job_id=trained.id),
    ):
        refused(call, Code.NOT_FOUND, "JOB_NOT_FOUND")
    refused(
        lambda: stranger.predict(image, checkpoint_id=trained.best_checkpoint_id),
        Code.NOT_FOUND,
        "CHECKPOINT_NOT_FOUND",
    )
    # What he has in memory is his; what others have is nobody's business.
    assert trained.best_checkpoint_id in [model.checkpoint_id for model in client.loaded_models().models]
    assert list(stranger.loaded_models().models) == []


def test_what_is_public_can_be_trained_on_and_not_changed(
    stranger: Client, client: Client, shared: dataset_pb2.Dataset
) -> None:
    assert stranger.get_dataset(shared.id) == shared
    job = stranger.create_job(digits.spec(shared.id, epochs=1))
    assert (job.state, job.num_classes) == (job_state_pb2.JOB_STATE_PENDING, 2)
    assert job.id not in [found.id for found in client.jobs()]
    error = refused(lambda: stranger.delete_dataset(shared.id), Code.NOT_FOUND, "DATASET_NOT_FOUND")
    assert "owner" in error.message
    assert client.get_dataset(shared.id) == shared
