from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from storage.database.engine import Database
from storage.database.errors import DatabaseLocked, DatabaseUnavailable
from storage.database.users import UserRepository

HOLD_THE_LOCK = """
import sys
from storage.database.engine import Database
Database(sys.argv[1]).acquire_lock()
print("locked", flush=True)
sys.stdin.read()
"""


async def test_rows_are_usable_after_their_transaction(database: Database) -> None:
    written = await database.write(lambda session: UserRepository(session).create("ada"))
    read = await database.read(lambda session: UserRepository(session).by_name("ada"))
    assert read is not None
    assert (read.id, read.name, read.create_time) == (written.id, "ada", written.create_time)


async def test_a_write_that_raises_leaves_nothing(database: Database) -> None:
    def work(session: Session) -> None:
        UserRepository(session).create("ada")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        await database.write(work)
    assert await database.read(lambda session: UserRepository(session).by_name("ada")) is None


async def test_a_read_cannot_write(database: Database) -> None:
    with pytest.raises(DBAPIError):
        await database.read(lambda session: UserRepository(session).create("ada"))
    await database.write(lambda session: UserRepository(session).create("ada"))


async def test_a_write_that_has_begun_survives_cancellation(database_url: str, database: Database) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work(session: Session) -> None:
        begun.set()
        assert go_on.wait(10)
        UserRepository(session).create("ada")

    task = asyncio.create_task(database.write(work))
    assert await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await database.close()  # waits for what is under way
    reopened = Database(database_url)
    assert await reopened.read(lambda session: UserRepository(session).by_name("ada")) is not None
    await reopened.close()


async def test_a_failure_after_cancellation_is_logged(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work(session: Session) -> None:
        begun.set()
        assert go_on.wait(10)
        raise RuntimeError("disk on fire")

    task = asyncio.create_task(database.write(work))
    assert await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await database.close()
    await asyncio.sleep(0.05)
    assert "disk on fire" in capsys.readouterr().out


async def test_a_cancelled_read_returns_at_once(database: Database) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work(session: Session) -> None:
        begun.set()
        assert go_on.wait(10)

    task = asyncio.create_task(database.read(work))
    assert await asyncio.to_thread(begun.wait, 10)
    started = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - started < 1
    go_on.set()


async def test_reads_go_on_during_a_write(database: Database) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work(session: Session) -> None:
        UserRepository(session).create("ada")
        begun.set()
        assert go_on.wait(10)

    task = asyncio.create_task(database.write(work))
    assert await asyncio.to_thread(begun.wait, 10)
    assert await database.read(lambda session: UserRepository(session).by_name("ada")) is None
    go_on.set()
    await task
    assert await database.read(lambda session: UserRepository(session).by_name("ada")) is not None


async def test_sqlite_is_set_up_to_lose_nothing(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")

    def pragmas(session: Session) -> list[object]:
        names = "journal_mode", "synchronous", "foreign_keys", "busy_timeout"
        return [session.scalar(text(f"PRAGMA {name}")) for name in names]

    assert await database.write(pragmas) == ["wal", 2, 1, 10_000]
    await database.close()


def test_the_lock_refuses_a_second_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    database = Database(url)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(DatabaseLocked, match=rf"pid {holder.pid}\); stop that one"):
            database.acquire_lock()
        holder.kill()
        holder.wait()
    database.acquire_lock()  # the lock died with its holder
    other = Database(url)
    with pytest.raises(DatabaseLocked):
        other.acquire_lock()
    asyncio.run(database.close())
    other.acquire_lock()
    asyncio.run(other.close())


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:////nowhere/at/all/a.db", "folder of the database does not exist: /nowhere/at/all"),
        ("sqlite://", "needs a plain file"),
        ("mysql://host/name", "mysql is not supported"),
        ("secret words", "cannot be read"),
    ],
)
def test_an_unusable_url_is_explained(url: str, message: str) -> None:
    with pytest.raises(DatabaseUnavailable, match=message):
        Database(url)


async def test_a_file_that_is_no_database_is_explained(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("these are not the rows you are looking for" * 100)
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    with pytest.raises(DatabaseUnavailable, match="file is not a database"):
        await database.read(lambda session: None)
    await database.close()


async def test_a_server_that_is_away_is_explained_without_the_password() -> None:
    database = Database("postgresql://ada:secret@127.0.0.1:1/name")
    with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1") as caught:
        await database.read(lambda session: None)
    assert "secret" not in str(caught.value)
    await database.close()
