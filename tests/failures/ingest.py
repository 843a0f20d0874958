"""A gateway that dies twice while it takes the events of a run: on SQLite and on PostgreSQL the same."""

from __future__ import annotations

from rpc.kill_points import KillPoint
from tests.failures.checker import check_job
from tests.failures.mesh import COMPLETED, KILL_AT, Mesh
from tests.watching import Watching
from visionmesh.v1 import dataset_pb2


def killed_while_it_takes_events(mesh: Mesh, dataset: dataset_pb2.Dataset, passage: int) -> None:
    """Before the commit of its batch number ``passage``, and the next gateway after the commit of its first or second.

    It gets two in any case: all that waited for it, and the end, which is told when all else is durable.
    """
    job = mesh.create(dataset, epochs=12)
    mesh.rearm(mesh.gateway, f"{KillPoint.INGEST_BEFORE_COMMIT}:{passage}")
    mesh.client.start_job(job.id)
    watching = Watching(mesh.client, job.id)
    mesh.gateway.wait_until_killed()
    mesh.gateway.launch(**{KILL_AT: f"{KillPoint.INGEST_AFTER_COMMIT}:{min(passage, 2)}"})
    mesh.gateway.wait_until_killed()
    mesh.gateway.start()
    done = mesh.ended(job.id)
    assert (done.state, done.attempt) == (COMPLETED, 1)
    # Whoever watched all the while saw what the log has, once.
    assert watching.to_the_end() == check_job(mesh, job.id)
