"""Meshes to kill."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end import digits
from tests.failures.mesh import Mesh
from visionmesh.v1 import dataset_pb2


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """One mesh for a whole file: every test leaves it serving."""
    with Mesh(tmp_path_factory.mktemp("mesh")) as mesh:
        yield mesh


@pytest.fixture(scope="module")
def dataset(mesh: Mesh, tmp_path_factory: pytest.TempPathFactory) -> dataset_pb2.Dataset:
    """A few digits, READY."""
    folder = digits.write(tmp_path_factory.mktemp("digits"), digits.files(classes=2, per_class=4, val=2))
    return digits.upload(mesh.client, folder)
