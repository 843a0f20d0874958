"""Meshes to kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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
    return upload(mesh, tmp_path_factory.mktemp("digits"))


def upload(mesh: Mesh, folder: Path) -> dataset_pb2.Dataset:
    """Write a few digits into ``folder`` and make a dataset of them."""
    return digits.upload(mesh.client, digits.write(folder, digits.files(classes=2, per_class=4, val=2)))
