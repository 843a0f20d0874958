"""A machine's clock that is set in mid-training: back by days and forward by hours."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.failures.checker import check_job
from tests.failures.mesh import COMPLETED, ENDLESS, RUNNING, SLOWLY, STOPPED, Mesh
from visionmesh.v1 import dataset_pb2

# Leases are judged every second.
JUDGED_SECONDS = 3.0

# The library comes built for one kind of machine.
pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="libfaketime is built for x86-64")


class Clock:
    """The clock of every process of a mesh; what measures time from the start of the machine stays as it is."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set("+0")

    def set(self, offset: str) -> None:
        """Set it, as libfaketime writes offsets: ``+2h``, ``-3d``."""
        self._file.write_text(f"{offset}\n")

    def environment(self) -> dict[str, str]:
        """Variables that give a process this clock."""
        found = find_spec("libfaketime")
        assert found is not None and found.origin is not None, "libfaketime is not installed"
        return {
            "LD_PRELOAD": str(Path(found.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    return Clock(tmp_path_factory.mktemp("clock") / "offset")


@pytest.fixture(scope="module")
def mesh(clock: Clock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    # A machine that is busy may be silent for a while; it is never for as long as the clocks say.
    environment = {**clock.environment(), "VISIONMESH_CONTACT_LOST_SECONDS": "50"}
    with Mesh(tmp_path_factory.mktemp("mesh"), environment) as mesh:
        yield mesh


def test_a_clock_that_is_set_ends_no_run_and_loses_no_event(
    mesh: Mesh, dataset: dataset_pb2.Dataset, clock: Clock
) -> None:
    job_id = mesh.in_training(dataset, epochs=ENDLESS, **SLOWLY)
    began = mesh.client.get_job(job_id).create_time.seconds
    for offset, hours in (("-3d", -72), ("+6h", 6)):
        clock.set(offset)
        # If clocks were believed, nothing was heard of the run for longer than a lease.
        until_time = time.monotonic() + JUDGED_SECONDS
        while time.monotonic() < until_time:
            job = mesh.client.get_job(job_id)
            assert (job.state, job.attempt) == (RUNNING, 1) and not job.HasField("contact_lost_time")
            time.sleep(0.2)
        # The clock was set indeed.
        other = mesh.create(dataset)
        assert abs(other.create_time.seconds - began - hours * 3600) < 1800
    # Another job, of six hours to come, is trained as ever.
    mesh.client.start_job(other.id)
    assert mesh.ended(other.id).state == COMPLETED
    check_job(mesh, other.id)
    # Servers that start by another clock than the run did take it back.
    mesh.rearm(mesh.gateway)
    mesh.rearm(mesh.trainer)
    assert mesh.client.get_job(job_id).state == RUNNING
    mesh.client.stop_job(job_id)
    stopped = mesh.ended(job_id)
    assert (stopped.state, stopped.attempt, stopped.failure.reason) == (STOPPED, 1, "")
    check_job(mesh, job_id)
