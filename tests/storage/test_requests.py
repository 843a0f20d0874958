from __future__ import annotations

import pytest

from storage.database.engine import Database
from storage.database.errors import RequestExists
from storage.database.requests import RequestRepository
from storage.database.tables import RequestRecord


def record(user_id: str, resource_id: str) -> RequestRecord:
    return RequestRecord(
        user_id=user_id, method="CreateJob", request_id="r1", body_digest="d" * 64, resource_id=resource_id
    )


async def test_the_first_answer_is_kept(database: Database) -> None:
    await database.write(lambda session: RequestRepository(session).add(record("user_1", "job_1")))
    with pytest.raises(RequestExists, match="r1"):
        await database.write(lambda session: RequestRepository(session).add(record("user_1", "job_2")))
    await database.write(lambda session: RequestRepository(session).add(record("user_2", "job_3")))
    found = await database.read(lambda session: RequestRepository(session).find("user_1", "CreateJob", "r1"))
    assert found is not None and found.resource_id == "job_1"
    assert await database.read(lambda session: RequestRepository(session).find("user_1", "StartJob", "r1")) is None
    await database.write(lambda session: RequestRepository(session).forget("user_1", "CreateJob"))
    left = [
        await database.read(lambda session, user=user: RequestRepository(session).find(user, "CreateJob", "r1"))  # type: ignore[misc]
        for user in ("user_1", "user_2")
    ]
    assert [row.resource_id if row is not None else None for row in left] == [None, "job_3"]
