from __future__ import annotations

import pytest
from sqlalchemy import select

from storage.database.engine import Database
from storage.database.errors import NameTaken
from storage.database.tables import ApiToken
from storage.database.users import UserRepository


async def test_a_token_finds_its_user_and_is_not_kept(database: Database, user_id: str) -> None:
    token = await database.write(lambda session: UserRepository(session).add_token(user_id, "laptop"))
    assert token.startswith("vm_")
    found = await database.read(lambda session: UserRepository(session).by_token(token))
    assert found is not None and found.id == user_id
    kept = await database.read(lambda session: session.scalars(select(ApiToken)).one())
    assert len(kept.digest) == 64 and kept.label == "laptop"
    assert token not in (kept.digest, kept.label)


@pytest.mark.parametrize("token", ["", "vm_guess", "\udcff"])
async def test_a_wrong_token_finds_nobody(database: Database, user_id: str, token: str) -> None:
    assert await database.read(lambda session: UserRepository(session).by_token(token)) is None


async def test_a_name_belongs_to_one_user(database: Database, user_id: str) -> None:
    with pytest.raises(NameTaken, match="ada"):
        await database.write(lambda session: UserRepository(session).create("ada"))
