"""What someone sees who calls the mesh with the real grpcurl."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from storage.objects.store import ObjectStore
from tests.end_to_end.refusals import Code, nothing_left
from visionmesh.cli.processes import EmbeddedMesh
from visionmesh.client import Client
from visionmesh.v1 import dataset_pb2

CREATE = "visionmesh.v1.TrainingService/CreateJob"


def grpcurl(mesh: EmbeddedMesh, *arguments: str, data: dict[str, Any] | None = None) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    beside = Path(sys.executable).with_name("grpcurl")
    binary = str(beside) if beside.exists() else shutil.which("grpcurl")
    assert binary is not None, "grpcurl comes with the dev extra"
    options = ["-plaintext", "-format-error", "-H", f"authorization: Bearer {mesh.token}"]
    if data is not None:
        options += ["-d", json.dumps(data)]
    ended = subprocess.run(
        [binary, *options, mesh.address, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    return ended.returncode, ended.stdout, ended.stderr


def job(dataset: dataset_pb2.Dataset, **changes: Any) -> dict[str, Any]:
    given = {"framework": "timm", "model_name": "test_resnet", "dataset_id": dataset.id, "epochs": 1}
    return {"job": {**given, **changes}, "validate_only": True}


def test_the_contract_can_be_read_from_the_server(mesh: EmbeddedMesh) -> None:
    status, out, err = grpcurl(mesh, "list")
    assert status == 0, err
    services = {f"visionmesh.v1.{name}Service" for name in ("Registry", "Dataset", "Training", "Inference")}
    assert services <= set(out.split())
    assert not [name for name in out.split() if name.startswith("visionmesh.mesh")]
    status, out, err = grpcurl(mesh, "describe", "visionmesh.v1.TrainingJobSpec")
    assert status == 0 and "learning_rate" in out, err


def test_a_job_is_checked(mesh: EmbeddedMesh, dataset: dataset_pb2.Dataset) -> None:
    status, out, err = grpcurl(mesh, CREATE, data=job(dataset, task_type="TASK_TYPE_IMAGE_CLASSIFICATION"))
    assert status == 0, err
    checked = json.loads(out)["job"]
    assert "id" not in checked
    assert checked["primary_metric_mode"] == "METRIC_MODE_MAX"
    assert checked["num_classes"] == 3


def test_what_is_wrong_is_printed_field_by_field(
    mesh: EmbeddedMesh, client: Client, store: ObjectStore, dataset: dataset_pb2.Dataset
) -> None:
    # JSON has no NaN; protobuf's JSON writes it as a word.
    with nothing_left(client, store):
        status, _, err = grpcurl(mesh, CREATE, data=job(dataset, epochs=0, batch_size=-1, learning_rate="NaN"))
    assert status != 0
    shown = json.loads(err)
    assert shown["code"] == Code.INVALID_ARGUMENT.value[0]
    info, bad = shown["details"]
    assert (info["reason"], info["domain"]) == ("INVALID_REQUEST", "visionmesh")
    assert info["metadata"]["request_id"]
    assert {item["field"] for item in bad["field_violations"]} == {
        "job.epochs", "job.batch_size", "job.learning_rate",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"epoch": 3}, "epoch"), ({"task_type": "CLASSIFY"}, "CLASSIFY"), ({"epochs": "many"}, "many")],
    ids=["unknown field", "unknown enum value", "mistyped value"],
)
def test_what_the_contract_does_not_have_is_not_even_sent(
    mesh: EmbeddedMesh,
    client: Client,
    store: ObjectStore,
    dataset: dataset_pb2.Dataset,
    wrong: dict[str, Any],
    said: str,
) -> None:
    with nothing_left(client, store):
        status, _, err = grpcurl(mesh, CREATE, data=job(dataset, **wrong))
    assert status != 0
    assert said in err
