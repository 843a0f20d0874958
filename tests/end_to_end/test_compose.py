"""The processes of docker-compose.yml, by hand: its commands and variables on this machine's PostgreSQL and S3.

No Docker engine is needed. Names of hosts and paths of containers become addresses and folders of this test.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests import postgresql_server, s3_server
from tests.end_to_end import digits
from tests.end_to_end.processes import until
from tests.tooling.compose import COMPOSE, command, health_check, variables
from tests.tooling.imports import ROOT
from visionmesh.cli.mesh_folder import free_port
from visionmesh.client import Client
from visionmesh.v1 import job_state_pb2

PORTS = ("50051", "50052", "50061")


class Here:
    """Where on this machine lies what the containers name."""

    def __init__(self, folder: Path, database: postgresql_server.PostgreSQLServer, objects: s3_server.S3Server) -> None:
        self._folder = folder
        self.objects = objects
        self.secrets = folder / "secrets"
        subprocess.run(["sh", str(ROOT / "docker" / "make-secrets"), str(self.secrets)], check=True)
        (self.secrets / "s3_secret_access_key").chmod(0o600)
        (self.secrets / "s3_secret_access_key").write_text(s3_server.SECRET_ACCESS_KEY)
        self._database_url = self._new_database(database)
        chosen: list[int] = []
        for _ in PORTS:
            chosen.append(free_port(chosen))
        self._ports = {port: str(here) for port, here in zip(PORTS, chosen, strict=True)}

    def data(self, service: str) -> Path:
        """The folder that is /data in the container of a service."""
        return self._folder / service

    def words(self, words: list[str], service: str) -> list[str]:
        """A command of a container."""
        return [sys.executable if word == "python" else self._value(word, service) for word in words]

    def variables(self, service: str) -> dict[str, str]:
        """The variables of a container, and what the others here need."""
        ours = {name: self._value(value, service) for name, value in variables(service).items()}
        ours["VISIONMESH_S3_ACCESS_KEY_ID"] = s3_server.ACCESS_KEY_ID
        ours["VISIONMESH_THREADS_PER_RUN"] = "1"
        return {name: value for name, value in os.environ.items() if not name.startswith("VISIONMESH_")} | ours

    def address(self, port: str) -> str:
        """Where a port of the containers is served."""
        return f"127.0.0.1:{self._ports[port]}"

    def _value(self, value: str, service: str) -> str:
        if value == "postgresql://visionmesh@postgres:5432/visionmesh":
            return self._database_url
        if value.startswith("/data"):
            return value.replace("/data", str(self.data(service)), 1)
        value = value.replace("http://objects:9000", self.objects.url).replace("/run/secrets", str(self.secrets))
        value = value.replace("/opt/healthcheck.py", str(ROOT / "docker" / "healthcheck.py"))
        for port in PORTS:
            for host in ("0.0.0.0", "127.0.0.1", "gateway", "trainer-timm"):
                value = value.replace(f"{host}:{port}", self.address(port))
        return value

    def _new_database(self, server: postgresql_server.PostgreSQLServer) -> str:
        """A database of the user that compose names, who has the password that was made."""
        url = make_url(server.new_database())
        password = (self.secrets / "database_password").read_text()
        server.execute(f"CREATE ROLE visionmesh LOGIN PASSWORD '{password}'")
        server.execute(f"ALTER DATABASE {url.database} OWNER TO visionmesh")
        return f"postgresql://visionmesh@/{url.database}?host={url.query['host']}"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with (
        postgresql_server.running() as database,
        s3_server.running(s3_server.nanio(), tmp_path / "s3") as objects,
    ):
        yield Here(tmp_path, database, objects)


@contextmanager
def container(here: Here, service: str) -> Iterator[subprocess.Popen[bytes]]:
    """The process of a service, healthy as its image's health check sees it; told to end as Docker does."""
    here.data(service).mkdir()
    log = here.data(service) / "output.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            here.words(command(service), service),
            cwd=ROOT, env=here.variables(service), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    check = here.words(health_check(service), service)

    def healthy() -> bool:
        assert process.poll() is None, log.read_text()
        return subprocess.run(check, capture_output=True, check=False).returncode == 0

    try:
        until(healthy, 90)
        yield process
        process.terminate()
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def test_what_compose_starts_trains_and_predicts_on_postgresql_and_s3(here: Here, tmp_path: Path) -> None:
    assert list(COMPOSE["services"]["trainer-timm"]["depends_on"]) == ["gateway"]
    with container(here, "gateway"), container(here, "trainer-timm"):
        token = (here.data("gateway") / "token").read_text().strip()
        with Client(here.address("50051"), token) as client:
            until(lambda: [item.framework for item in client.frameworks().frameworks if item.healthy_trainers])
            folder = digits.write(tmp_path / "digits", digits.files())
            dataset = digits.upload(client, folder)
            job = client.create_job(digits.spec(dataset.id, epochs=1))
            client.start_job(job.id)
            list(client.watch_job(job.id))
            done = client.get_job(job.id)
            assert done.state == job_state_pb2.JOB_STATE_COMPLETED, done.failure
            assert client.predict(digits.png(1), job_id=job.id).classifications
    # The bucket was made, and all bytes lie in it.
    bucket = here.objects.client().list_objects_v2(Bucket="visionmesh")["Contents"]
    assert {item["Key"].partition("/")[0] for item in bucket} == {
        "datasets",
        "manifests",
        "checkpoints",
        "validation_images",
    }
