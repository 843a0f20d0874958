"""Jobs as a gateway's database keeps them while they run, without anything that trains."""

from __future__ import annotations

import asyncio
from functools import partial

from sqlalchemy.orm import Session

from storage.database.engine import Database
from storage.database.ids import new_id
from storage.database.jobs import JobRepository
from storage.database.run_tokens import RunTokenRepository
from storage.database.tables import Run, TrainingJob, now
from storage.database.users import UserRepository
from visionmesh.mesh.v1 import run_pb2

OWNER = "owner"


# Every metric of a benchmark is of an epoch of its own.
MAX_EPOCHS = (1 << 31) - 1


def running_job(database_url: str, epochs: int = MAX_EPOCHS) -> run_pb2.RunSpec:
    """Make a RUNNING job of the gateway's owner in its first attempt, and return the run's ids for its agent."""
    [run] = running_jobs(database_url, 1, epochs)
    return run


def running_jobs(database_url: str, count: int, epochs: int = MAX_EPOCHS) -> list[run_pb2.RunSpec]:
    """Make as many of them."""
    return asyncio.run(_running_jobs(database_url, count, epochs))


def run_token(database_url: str, run_id: str) -> str:
    """Make a token for the agent of a run."""
    return asyncio.run(_run_token(database_url, run_id))


def add_ended_jobs(database_url: str, count: int) -> None:
    """Make as many jobs that were COMPLETED some time ago."""
    asyncio.run(_add_ended_jobs(database_url, count))


async def _add_ended_jobs(database_url: str, count: int) -> None:
    database = Database(database_url, pool_size=1)

    def add(session: Session, some: int) -> None:
        for _ in range(some):
            JobRepository(session).change_state(_add(session, 10).job_id, ["RUNNING"], "COMPLETED", end_time=now())

    try:
        for start in range(0, count, 500):
            await database.write(partial(add, some=min(500, count - start)))
    finally:
        await database.close()


async def _run_token(database_url: str, run_id: str) -> str:
    database = Database(database_url, pool_size=1)
    try:
        return await database.write(lambda session: RunTokenRepository(session).add(run_id))
    finally:
        await database.close()


async def _running_jobs(database_url: str, count: int, epochs: int) -> list[run_pb2.RunSpec]:
    database = Database(database_url, pool_size=1)
    try:
        return await database.write(lambda session: [_add(session, epochs) for _ in range(count)])
    finally:
        await database.close()


def _add(session: Session, epochs: int) -> run_pb2.RunSpec:
    owner = UserRepository(session).by_name(OWNER)
    assert owner is not None, "the gateway has not made its owner yet"
    run_id, jobs = new_id("run"), JobRepository(session)
    job = jobs.add(
        TrainingJob(
            id=new_id("job"),
            user_id=owner.id,
            project_id="default",
            experiment_name="a training that is measured",
            tags=["benchmark"],
            framework="timm",
            model_name="resnet18",
            task_type="IMAGE_CLASSIFICATION",
            dataset_id=new_id("ds"),
            dataset_format="IMAGE_FOLDER",
            manifest_digest="0" * 64,
            num_classes=10,
            epochs=epochs,
            batch_size=32,
            learning_rate=1e-3,
            image_size=64,
            # As many settings as a real job has: they are converted for every answer.
            advanced_config={f"group.setting_{number:02}": number / 10 for number in range(20)},
            primary_metric="accuracy",
            primary_metric_mode="MAX",
            state="RUNNING",
            attempt=1,
            current_run_id=run_id,
            start_time=now(),
        )
    )
    jobs.add_run(Run(id=run_id, job_id=job.id, attempt=1))
    return run_pb2.RunSpec(
        run_id=run_id,
        job_id=job.id,
        attempt=1,
        project_id=job.project_id,
        dataset_id=job.dataset_id,
        epochs=epochs,
    )
