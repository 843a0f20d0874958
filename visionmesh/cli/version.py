"""``version``: what this command is and speaks."""

from __future__ import annotations

import platform
import tomllib
from importlib import metadata
from pathlib import Path

import grpc
import typer

import visionmesh
from visionmesh.cli.command import command
from visionmesh.cli.session import Session
from visionmesh.cli.tables import print_fields


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    command(app, "version", examples="visionmesh version --json")(version)


def version(session: Session) -> None:
    """Show the version of this command and of the contract it speaks."""
    found = {
        "visionmesh": installed_version(),
        "contract": "visionmesh.v1",
        "grpc": grpc.__version__,
        "python": platform.python_version(),
    }
    if session.json:
        session.print_json(found)
    else:
        print_fields(session.out, found)


def installed_version() -> str:
    """Version of the installed wheel, or of the checkout that this runs from."""
    try:
        return metadata.version("visionmesh")
    except metadata.PackageNotFoundError:
        project = Path(visionmesh.__file__).resolve().parents[1] / "pyproject.toml"
        number: str = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]
        return number
