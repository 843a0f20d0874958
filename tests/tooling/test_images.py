"""The images hold what their processes import, run as nobody in particular, and the compose file speaks their settings.

No Docker engine is needed: the files are read.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_settings import BaseSettings

from gateway.settings import GatewaySettings
from tests.tooling.compose import COMPOSE, DOCKERFILES, instructions, variables
from tests.tooling.imports import ROOT, own_modules
from trainer.settings import TrainerSettings

SETTINGS: dict[str, type[BaseSettings]] = {
    "gateway": GatewaySettings,
    "trainer-timm": TrainerSettings,
    "trainer-yolo": TrainerSettings,
}
STARTS = {
    "gateway": ["gateway.__main__"],
    "trainer-timm": [
        "trainer_timm.__main__",
        "trainer_timm.adapter",
        "trainer.runs.agent",
        "trainer.runs.process",
        "trainer.runs.warm.parent",
    ],
    "trainer-yolo": [
        "trainer_yolo.__main__",
        "trainer_yolo.adapter",
        "trainer.runs.agent",
        "trainer.runs.process",
        "trainer.runs.warm.parent",
    ],
}
TRAINERS = ("trainer-timm", "trainer-yolo")
SECRETS = ("mesh_token", "database_password", "s3_secret_access_key")


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The secrets of a newcomer, made as the compose file says."""
    folder = tmp_path / "secrets"
    subprocess.run(["sh", str(ROOT / "docker" / "make-secrets"), str(folder)], check=True)
    return folder


def copied(service: str) -> list[str]:
    """What is copied from the checkout, in any stage."""
    return [
        source
        for name, rest in instructions(service)
        if name == "COPY" and "--from" not in rest
        for source in shlex.split(rest)[:-1]
    ]


@pytest.mark.parametrize("service", STARTS)
def test_the_image_holds_all_that_its_processes_import(service: str) -> None:
    inside = [ROOT / source for source in copied(service)]
    assert [path for path in inside if not path.exists()] == []
    needed = set().union(*(own_modules(start) for start in STARTS[service]))
    assert len(needed) > 30
    missing = {path for path in needed if not any(path == held or held in path.parents for held in inside)}
    assert {str(path.relative_to(ROOT)) for path in missing} == set()


@pytest.mark.parametrize("service", STARTS)
def test_what_is_copied_is_let_through_to_the_build(service: str) -> None:
    let_through = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert (ROOT / ".dockerignore").read_text().startswith("*\n")
    for source in copied(service):
        assert any(Path(source).is_relative_to(entry) for entry in let_through), source


@pytest.mark.parametrize("service", STARTS)
def test_the_process_is_not_root_and_is_watched(service: str) -> None:
    names = [name for name, _ in instructions(service)]
    [user] = [rest for name, rest in instructions(service) if name == "USER"]
    assert user != "root" and names.index("USER") < names.index("CMD")
    assert "HEALTHCHECK" in names
    assert not [rest for name, rest in instructions(service) if name in ("ENV", "ARG") and "TOKEN" in rest]


@pytest.mark.parametrize("service", STARTS)
def test_variables_are_settings_of_the_process_and_its_values_are_accepted(
    service: str, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = variables(service)
    assert set(given) <= {f"VISIONMESH_{name.upper()}" for name in SETTINGS[service].model_fields}
    for name, value in given.items():
        monkeypatch.setenv(name, value.replace("/run/secrets", str(secrets)))
    settings: Any = SETTINGS[service]()
    token = (secrets / "mesh_token").read_text()
    assert settings.mesh_token.get_secret_value() == token and len(token) == 64
    assert settings.s3_secret() == (secrets / "s3_secret_access_key").read_text()
    if isinstance(settings, GatewaySettings):
        password = (secrets / "database_password").read_text()
        assert settings.full_database_url().endswith(f"//visionmesh:{password}@postgres:5432/visionmesh")


def test_the_services_find_each_other() -> None:
    services = COMPOSE["services"]
    gateway = services["gateway"]
    addresses = yaml.safe_load(gateway["environment"]["VISIONMESH_TRAINER_ADDRESSES"])
    assert addresses == [f"{name}:50061" for name in TRAINERS]
    for name in TRAINERS:
        trainer = services[name]
        assert trainer["environment"]["VISIONMESH_LISTEN_ADDRESS"].endswith(":50061")
        host, port = trainer["environment"]["VISIONMESH_MESH_TARGET"].split(":")
        assert host in services and gateway["environment"]["VISIONMESH_MESH_ADDRESS"].endswith(f":{port}")


def test_the_public_port_alone_is_published_and_on_this_machine_only() -> None:
    published = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}
    assert published == {"gateway": ["127.0.0.1:50051:50051"], "gateway-2": ["127.0.0.1:50053:50051"]}


def test_the_second_gateway_is_like_the_first_and_starts_only_when_asked_for() -> None:
    first, second = COMPOSE["services"]["gateway"], COMPOSE["services"]["gateway-2"]
    assert second["profiles"] == ["two-gateways"] and "profiles" not in first
    assert {name for name in second if first.get(name) != second[name]} == {"profiles", "ports", "volumes"}


def test_the_compose_file_is_one() -> None:
    # The schema of the Compose Specification, as its authors publish it.
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run([*command, str(ROOT / "docker-compose.yml")], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_the_schema_would_find_a_mistake(tmp_path: Path) -> None:
    wrong = (ROOT / "docker-compose.yml").read_text().replace("condition: service_healthy", "condition: service_happy")
    (tmp_path / "docker-compose.yml").write_text(wrong)
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run(
        [*command, str(tmp_path / "docker-compose.yml")], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 1 and "service_happy" in checked.stdout


def test_services_wait_for_what_they_need_and_all_of_it_has_a_health_check() -> None:
    services = COMPOSE["services"]
    waits = {name: set(service.get("depends_on", {})) for name, service in services.items()}
    assert waits == {
        "gateway": {"postgres", "objects"},
        "gateway-2": {"postgres", "objects"},
        "trainer-timm": {"gateway"},
        "trainer-yolo": {"gateway"},
        "postgres": set(),
        "objects": set(),
    }
    for name, service in services.items():
        assert all(wait["condition"] == "service_healthy" for wait in service.get("depends_on", {}).values())
        assert "healthcheck" in service or "HEALTHCHECK" in [word for word, _ in instructions(name)]


def test_data_outlives_containers() -> None:
    mounted: dict[str, str] = {}
    for service in COMPOSE["services"].values():
        mounted.update(volume.split(":") for volume in service["volumes"])
    assert set(mounted) == set(COMPOSE["volumes"])
    # The image of PostgreSQL 18 keeps its data in a folder below this one.
    assert mounted["postgres-data"] == "/var/lib/postgresql"


def test_images_of_others_are_of_a_version_and_ours_are_built_here() -> None:
    for name, service in COMPOSE["services"].items():
        if name in DOCKERFILES:
            assert service["build"]["dockerfile"] == DOCKERFILES[name]
        else:
            assert re.fullmatch(r"[\w/]+:\d[\w.-]*", service["image"])


def test_secrets_are_files_that_a_command_makes_and_stand_in_no_variable(secrets: Path) -> None:
    assert sorted(path.name for path in secrets.iterdir()) == sorted(SECRETS) == sorted(COMPOSE["secrets"])
    for name in SECRETS:
        assert COMPOSE["secrets"][name] == {"file": f"./docker/secrets/{name}"}
    ignored = ["git", "check-ignore", "--no-index", "docker/secrets/mesh_token"]
    assert subprocess.run(ignored, cwd=ROOT, capture_output=True, check=False).returncode == 0
    for service in COMPOSE["services"].values():
        for name, value in service["environment"].items():
            if re.search(r"TOKEN|PASSWORD|SECRET", name) and value != "/data/token":
                assert name.endswith("_FILE") and value.removeprefix("/run/secrets/") in service["secrets"], name


def test_making_secrets_again_keeps_them(secrets: Path) -> None:
    before = {name: (secrets / name).read_text() for name in SECRETS}
    assert len(set(before.values())) == len(SECRETS)
    subprocess.run(["sh", str(ROOT / "docker" / "make-secrets"), str(secrets)], check=True)
    assert {name: (secrets / name).read_text() for name in SECRETS} == before
    assert secrets.stat().st_mode & 0o777 == 0o700


def test_server_and_mesh_agree_on_the_key_of_the_object_store() -> None:
    services = COMPOSE["services"]
    objects = services["objects"]["environment"]
    for service in ("gateway", *TRAINERS):
        given = services[service]["environment"]
        assert given["VISIONMESH_S3_ACCESS_KEY_ID"] == objects["RUSTFS_ACCESS_KEY"]
        assert given["VISIONMESH_S3_SECRET_ACCESS_KEY_FILE"] == objects["RUSTFS_SECRET_KEY_FILE"]
        assert given["VISIONMESH_S3_ENDPOINT_URL"] == f"http://objects:{objects['RUSTFS_ADDRESS'].split(':')[1]}"
