"""A gateway that dies twice while it takes the events of a run: on SQLite and on PostgreSQL the same."""

from __future__ import annotations

from tests.failures.checker import check_job
from tests.failures.mesh import COMPLETED, KILL_AT, Mesh
from tests.watching import Watching
from visionmesh.v1 import dataset_pb2


def killed_twice_while_it_takes_events(mesh: Mesh, dataset: dataset_pb2.Dataset, first: str, then: str) -> str:
    """The gateway dies at ``first``, the next one at ``then``; gives the id of the job, with which nothing is wrong.

    The second gateway gets two batches in any case: all that waited for it, and the end, which is told when all else
    is durable.
    """
    job = mesh.create(dataset, epochs=12)
    mesh.rearm(mesh.gateway, first)
    mesh.client.start_job(job.id)
    watching = Watching(mesh.client, job.id)
    mesh.gateway.wait_until_killed()
    mesh.gateway.launch(**{KILL_AT: then})
    mesh.gateway.wait_until_killed()
    mesh.gateway.start()
    done = mesh.ended(job.id)
    assert (done.state, done.attempt) == (COMPLETED, 1)
    # Whoever watched all the while saw what the log has, once.
    assert watching.to_the_end() == check_job(mesh, job.id)
    return job.id
