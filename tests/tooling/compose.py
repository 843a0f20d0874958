"""What docker-compose.yml and the Dockerfiles say, read without Docker."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import yaml

from tests.tooling.imports import ROOT

# As compose reads it where no variable of the shell says otherwise: ${NAME:-default} is the default.
COMPOSE: dict[str, Any] = yaml.safe_load(
    re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (ROOT / "docker-compose.yml").read_text())
)
DOCKERFILES = {
    "gateway": "docker/gateway.Dockerfile",
    "gateway-2": "docker/gateway.Dockerfile",
    "trainer-timm": "docker/trainer-timm.Dockerfile",
    "trainer-yolo": "docker/trainer-yolo.Dockerfile",
}


def instructions(service: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, continued lines joined."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / DOCKERFILES[service]).read_text())
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split()[0], line.partition(" ")[2]) for line in lines]


def command(service: str) -> list[str]:
    """What the container of a service runs."""
    [words] = [rest for name, rest in instructions(service) if name == "CMD"]
    return [str(word) for word in json.loads(words)]


def health_check(service: str) -> list[str]:
    """What tells whether the container of a service is healthy."""
    [rest] = [rest for name, rest in instructions(service) if name == "HEALTHCHECK"]
    return [str(word) for word in json.loads(rest.partition("CMD ")[2])]


def variables(service: str) -> dict[str, str]:
    """Our variables as a container of one of our services has them: those of its image, and over them compose's."""
    image = dict(
        pair.split("=", 1)
        for name, rest in instructions(service)
        if name == "ENV"
        for pair in shlex.split(rest)
        if pair.startswith("VISIONMESH_")
    )
    return {**image, **COMPOSE["services"][service]["environment"]}
