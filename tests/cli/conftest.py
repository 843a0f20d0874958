"""A stand-in gateway, a client of it, and the command as a function."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.cli.refusing import TOKEN
from tests.cli.stand_in import StandIn, serve
from visionmesh.cli.main import main
from visionmesh.client import Client


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its one JSON document."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Its JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> Any:
        """Its error in JSON."""
        return json.loads(self.err)["error"]


Command = Callable[..., Outcome]

# The arguments of a job that the stand-in takes.
CREATE = ("jobs", "create", "--framework", "timm", "--model", "resnet18", "--dataset", "d1", "--epochs", "3")


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    server = serve()
    yield server
    server.stop().wait()


@pytest.fixture
def client(stand_in: StandIn) -> Iterator[Client]:
    with Client(stand_in.address, TOKEN) as opened:
        yield opened


@pytest.fixture
def visionmesh(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """Run the command against the stand-in, in an empty folder, with the environment naming both."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VISIONMESH_ADDRESS", stand_in.address)
    monkeypatch.setenv("VISIONMESH_TOKEN", TOKEN)
    monkeypatch.delenv("VISIONMESH_TOKEN_FILE", raising=False)

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six images in two classes, one of them larger than a chunk, and what desktops leave behind."""
    root = tmp_path / "pets"
    for label in ("cat", "dog"):
        (root / label).mkdir(parents=True)
        for number in range(3):
            Image.new("L", (8, 8), number).save(root / label / f"{number}.png")
    with (root / "dog" / "2.png").open("ab") as file:
        file.write(b"\0" * (2_500_000))
    (root / ".DS_Store").write_bytes(b"x")
    (root / "cat" / "Thumbs.db").write_bytes(b"x")
    (root / ".git").mkdir()
    (root / ".git" / "config").write_bytes(b"x")
    return root
