from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

from storage.database.connections import parse_url
from storage.database.errors import DatabaseUnavailable, SchemaMismatch
from storage.database.migrate import check_schema, migrate
from storage.database.tables import Base


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "storage.database", *arguments], capture_output=True, text=True, check=False
    )


def test_migrations_make_exactly_the_tables(empty_database_url: str) -> None:
    migrate(empty_database_url)
    migrate(empty_database_url)
    engine = create_engine(parse_url(empty_database_url))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def test_two_processes_may_migrate_at_once(empty_database_url: str) -> None:
    command = [sys.executable, "-m", "storage.database", "migrate", empty_database_url]
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]


def test_the_command_migrates(empty_database_url: str) -> None:
    done = run_command("migrate", empty_database_url)
    assert (done.returncode, done.stdout) == (0, "The database is up to date.\n")
    engine = create_engine(parse_url(empty_database_url))
    assert set(Base.metadata.tables) < set(inspect(engine).get_table_names())
    engine.dispose()


def test_tables_of_a_newer_version_are_refused_and_left_as_they_are(database_url: str) -> None:
    engine = create_engine(parse_url(database_url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for refuse in (migrate, check_schema):
        with pytest.raises(SchemaMismatch, match="version 9999, which this version of VisionMesh does not know"):
            refuse(database_url)
    failed = run_command("migrate", database_url)
    assert (
        (failed.returncode, failed.stdout) == (1, "") and "9999" in failed.stderr and "Traceback" not in failed.stderr
    )
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"
    engine.dispose()


def test_tables_that_are_missing_or_old_are_told_where_none_shall_be_made(
    empty_database_url: str, database_url: str
) -> None:
    with pytest.raises(SchemaMismatch, match=r"not made yet.*python -m storage\.database migrate"):
        check_schema(empty_database_url.replace("visionmesh.db", "empty.db"))
    check_schema(database_url)


def test_the_command_adds_users_and_tokens(database_url: str, tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "storage.database", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    tokens = [run(command, database_url, "ann").stdout.strip() for command in ("add-user", "add-token")]
    assert all(token.startswith("vm_") for token in tokens) and len(set(tokens)) == 2
    for command, name, why in (("add-user", "ann", "exists"), ("add-token", "bob", "no user named 'bob'")):
        refused = run(command, database_url, name)
        assert refused.returncode == 1 and why in refused.stderr and not refused.stdout


def test_the_command_explains_itself_and_its_failures(tmp_path: Path) -> None:
    assert "migrate" in run_command("--help").stdout
    failed = run_command("migrate", f"sqlite:///{tmp_path}/missing/a.db")
    assert failed.returncode == 1
    assert "does not exist" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_file_that_is_no_database_is_explained(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("not a database " * 100)
    with pytest.raises(DatabaseUnavailable, match="file is not a database"):
        migrate(f"sqlite:///{tmp_path / 'a.db'}")
