from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from storage.database.bearer_tokens import token_digest
from storage.database.engine import Database
from storage.database.jobs import JobRepository
from storage.database.run_tokens import RunTokenRepository
from storage.database.tables import Run, RunToken
from tests.storage import builders


async def test_every_token_of_a_run_is_good_until_its_job_is_deleted(database: Database, user_id: str) -> None:
    job = builders.job(user_id)

    def begin(session: Session) -> list[str]:
        session.add(job)
        session.flush()
        for number in (1, 2):
            JobRepository(session).add_run(Run(id=f"run_{number}", job_id=job.id, attempt=number))
        tokens = RunTokenRepository(session)
        return [tokens.add("run_1"), tokens.add("run_1"), tokens.add("run_2")]

    given = await database.write(begin)
    assert len(set(given)) == 3

    def find(token: str, session: Session) -> str | None:
        run = RunTokenRepository(session).run_of(token)
        return run.id if run is not None else None

    async def runs() -> list[str | None]:
        return [await database.read(partial(find, token)) for token in given]

    assert await runs() == ["run_1", "run_1", "run_2"]
    kept = await database.read(lambda session: {*session.scalars(select(RunToken.digest))})
    assert kept == {token_digest(token) for token in given}
    for wrong in ("", "run_1", given[0][:-1], *kept):
        assert await database.read(partial(find, wrong)) is None
    await database.write(lambda session: JobRepository(session).end_run("run_1", "LEASE_EXPIRED"))
    assert await runs() == ["run_1", "run_1", "run_2"]  # there is still something to tell its agent
    await database.write(lambda session: JobRepository(session).delete(job.id))
    assert await runs() == [None, None, None]


async def test_a_token_is_of_a_run_that_is_there(database: Database) -> None:
    with pytest.raises(IntegrityError):
        await database.write(lambda session: RunTokenRepository(session).add("run_none"))
