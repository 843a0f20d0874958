"""The owner of the embedded default: a user whose token lies in a file that its owner alone can read."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from sqlalchemy.orm import Session

from storage.database.engine import Database
from storage.database.errors import NameTaken
from storage.database.users import UserRepository

OWNER = "owner"


async def ensure_owner(database: Database, token_file: Path) -> None:
    """Make the user ``owner`` and write a token of his to ``token_file``, unless the file holds a good one already.

    A file that is lost or spoilt is replaced by one with a new token; tokens given before stay good.
    """
    kept = await asyncio.to_thread(_read, token_file)

    def work(session: Session) -> str:
        users = UserRepository(session)
        owner = users.by_name(OWNER) or users.create(OWNER)
        known = users.by_token(kept) if kept else None
        return kept if known is not None and known.id == owner.id else users.add_token(owner.id, str(token_file.name))

    try:
        token = await database.write(work)
    except NameTaken:  # by another gateway that starts at the same time
        token = await database.write(work)
    await asyncio.to_thread(_write_private, token_file, token)


def _read(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def _write_private(path: Path, token: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token + "\n")
    temporary.replace(path)
