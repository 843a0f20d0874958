"""A gateway that cannot work says why at its start, in one line that names the setting, and no secret."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from storage.database.connections import parse_url
from storage.database.migrate import migrate
from tests import s3_server
from tests.s3_server import S3Server
from tests.tooling.imports import ROOT

TOKEN = "a-secret-of-the-mesh"


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server.running(s3_server.nanio(), tmp_path_factory.mktemp("s3")) as server:
        server.client().create_bucket(Bucket="made")
        yield server


def refused(folder: Path, **settings: str) -> str:
    """The line that a gateway with these settings ends with."""
    given = {
        "DATABASE_URL": f"sqlite:///{folder}/visionmesh.db",
        "OBJECT_STORE": str(folder / "objects"),
        "MESH_TOKEN": TOKEN,
        "PUBLIC_ADDRESS": "127.0.0.1:0",
        "MESH_ADDRESS": "127.0.0.1:0",
        **settings,
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VISIONMESH_")}
    environment |= {f"VISIONMESH_{name}": value for name, value in given.items()}
    ended = subprocess.run(
        [sys.executable, "-m", "gateway"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 2 and "Traceback" not in ended.stderr, ended.stderr
    [line] = [line for line in ended.stderr.splitlines() if line.startswith("python -m gateway: ")]
    for secret in (TOKEN, s3_server.SECRET_ACCESS_KEY, "the-wrong-secret"):
        assert secret not in ended.stdout + ended.stderr
    return line


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"S3_ACCESS_KEY_ID": "nobody"}, "VISIONMESH_S3_ACCESS_KEY_ID"),
        ({"S3_SECRET_ACCESS_KEY": "the-wrong-secret"}, "VISIONMESH_S3_SECRET_ACCESS_KEY"),
        ({"OBJECT_STORE": "s3://missing"}, "'missing': it does not exist; make it, correct VISIONMESH_OBJECT_STORE"),
        ({"S3_ENDPOINT_URL": "http://127.0.0.1:9"}, "127.0.0.1:9"),
    ],
)
def test_an_object_store_that_cannot_be_used(
    tmp_path: Path, objects: S3Server, settings: dict[str, str], said: str
) -> None:
    given = {name.removeprefix("VISIONMESH_"): value for name, value in objects.environment().items()}
    assert said in refused(tmp_path, **{"OBJECT_STORE": "s3://made", **given, **settings})


def test_a_database_of_a_newer_version(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/newer.db"
    migrate(url)
    engine = create_engine(parse_url(url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    for migrating in ("true", "false"):
        line = refused(tmp_path, DATABASE_URL=url, MIGRATE_ON_START=migrating)
        assert "version 9999" in line and "a newer one made them" in line


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"MIGRATE_ON_START": "false"}, "python -m storage.database migrate"),
        ({"DATABASE_PASSWORD_FILE": "/does/not/exist"}, "VISIONMESH_DATABASE_PASSWORD_FILE"),
        ({"DATABASE_PASSWORD_FILE": "/dev/null"}, "a SQLite file has no password"),
        ({"MESH_TOKEN_FILE": "/dev/null"}, "VISIONMESH_MESH_TOKEN or VISIONMESH_MESH_TOKEN_FILE, not both"),
        ({"MESH_TOKEN": "", "MESH_TOKEN_FILE": "/does/not/exist"}, "VISIONMESH_MESH_TOKEN_FILE"),
        ({"MESH_TOKEN": "", "MESH_TOKEN_FILE": "/dev/null"}, "VISIONMESH_MESH_TOKEN"),
    ],
)
def test_settings_that_cannot_be_used(tmp_path: Path, settings: dict[str, str], said: str) -> None:
    assert said in refused(tmp_path, **settings)
