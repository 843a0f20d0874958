"""The images hold what their processes import, run as nobody in particular, and the compose file speaks their settings.

No Docker engine is needed: the files are read.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_settings import BaseSettings

from gateway.settings import GatewaySettings
from tests.tooling.imports import ROOT, own_modules
from trainer.settings import TrainerSettings

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SETTINGS: dict[str, type[BaseSettings]] = {"gateway": GatewaySettings, "trainer-timm": TrainerSettings}
STARTS = {
    "gateway": ["gateway.__main__"],
    "trainer-timm": ["trainer_timm.__main__", "trainer_timm.adapter", "trainer.runs.agent", "trainer.runs.process"],
}
DOCKERFILES = {"gateway": "docker/gateway.Dockerfile", "trainer-timm": "docker/trainer-timm.Dockerfile"}


def instructions(service: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, continued lines joined."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / DOCKERFILES[service]).read_text())
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split()[0], line.partition(" ")[2]) for line in lines]


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
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = COMPOSE["services"][service]["environment"]
    image = dict(
        pair.split("=", 1)
        for name, rest in instructions(service)
        if name == "ENV"
        for pair in shlex.split(rest)
        if pair.startswith("VISIONMESH_")
    )
    known = {f"VISIONMESH_{name.upper()}" for name in SETTINGS[service].model_fields}
    assert set(given) | set(image) <= known
    for name, value in {**image, **given}.items():
        monkeypatch.setenv(name, re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)))
    monkeypatch.setenv("VISIONMESH_MESH_TOKEN", "0123456789abcdef")
    SETTINGS[service]()


def test_the_services_find_each_other() -> None:
    services = COMPOSE["services"]
    gateway, trainer = services["gateway"], services["trainer-timm"]
    assert yaml.safe_load(gateway["environment"]["VISIONMESH_TRAINER_ADDRESSES"]) == ["trainer-timm:50061"]
    assert trainer["environment"]["VISIONMESH_LISTEN_ADDRESS"].endswith(":50061")
    host, port = trainer["environment"]["VISIONMESH_MESH_TARGET"].split(":")
    assert host in services and gateway["environment"]["VISIONMESH_MESH_ADDRESS"].endswith(f":{port}")


def test_the_public_port_alone_is_published_and_on_this_machine_only() -> None:
    published = {name: service.get("ports", []) for name, service in COMPOSE["services"].items()}
    assert published == {"gateway": ["127.0.0.1:50051:50051"], "trainer-timm": []}


def test_the_secret_is_asked_for_and_shared_objects_are() -> None:
    for service in COMPOSE["services"].values():
        assert service["environment"]["VISIONMESH_MESH_TOKEN"].startswith("${VISIONMESH_MESH_TOKEN:?")
        mounts = dict(volume.split(":") for volume in service["volumes"])
        assert set(mounts) <= set(COMPOSE["volumes"]) and mounts["objects"] == "/objects"
        assert (ROOT / service["build"]["dockerfile"]).is_file()
