"""Every grpcurl line of the documentation, run with the real binary against a real mesh."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.docs import shell
from visionmesh.cli.processes import EmbeddedMesh
from visionmesh.v1 import (
    dataset_service_pb2,
    inference_service_pb2,
    registry_service_pb2,
    training_service_pb2,
)

SERVICES = (dataset_service_pb2, inference_service_pb2, registry_service_pb2, training_service_pb2)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedMesh]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISIONMESH_THREADS_PER_RUN", "1")
        patch.setenv("VISIONMESH_IMPORT_SOURCES", json.dumps([str(shell.ROOT)]))
        with EmbeddedMesh(tmp_path_factory.mktemp("mesh"), 0) as mesh:
            yield mesh


def test_every_line_of_the_page_does_what_it_says(mesh: EmbeddedMesh) -> None:
    outcomes = shell.run(shell.lines("docs/grpcurl.md"), mesh)
    wrong = [outcome for outcome in outcomes if not outcome.line.mark and outcome.status != 0]
    assert wrong == []
    refused = [outcome for outcome in outcomes if outcome.line.mark == "refused"]
    assert refused
    for outcome in refused:
        assert outcome.status != 0 and "INVALID_REQUEST" in outcome.printed and "job.dataset_view" in outcome.printed
    # This mesh keeps its objects in a folder.
    (presigning,) = [outcome for outcome in outcomes if outcome.line.mark == "s3"]
    assert presigning.status != 0 and "PRESIGNED_UPLOADS_UNSUPPORTED" in presigning.printed


def test_the_page_tells_of_every_public_rpc() -> None:
    called = {found[1] for line in shell.lines("docs/grpcurl.md") if (found := re.search(r"call (\w+/\w+)", line.text))}
    known = {
        f"{service.name}/{method.name}"
        for module in SERVICES
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert called == known


def test_the_tour_of_the_readme_works_as_printed(mesh: EmbeddedMesh) -> None:
    tour = shell.lines("README.md", first_block_only=True)
    assert len(tour) == 10
    outcomes = shell.run(tour, mesh)
    assert [outcome for outcome in outcomes if outcome.status != 0] == []
    *_, metrics, prediction = outcomes
    assert metrics.printed.count('"epoch"') == 5
    assert '"label": "7"' in prediction.printed
