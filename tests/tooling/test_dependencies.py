"""What each room imports is what the package says it needs, and every version is pinned."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distribution, requires

import pytest
from packaging.requirements import Requirement

from tests.tooling.imports import ROOT, distributions, imported, normalised, sources

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BASE = {normalised(name) for name in PROJECT["dependencies"]}
EXTRAS = {extra: {normalised(name) for name in names} for extra, names in PROJECT["optional-dependencies"].items()}
PINNED = {
    normalised(line.partition("==")[0]): line.partition("==")[2]
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if "==" in line and not line.startswith("#")
}
# torch pins the libraries of CUDA by itself, and setuptools comes with Python.
NOT_PINNED = re.compile(r"nvidia-|cuda-|triton|setuptools$")
# Nothing imports these: SQLAlchemy and asyncio find them by name.
FOUND_BY_NAME = {"psycopg2-binary", "uvloop"}


@pytest.mark.parametrize(
    ("rooms", "extras"),
    [
        (["visionmesh"], ["draw", "plot"]),
        (["rpc", "annotations", "gateway", "storage"], ["gateway"]),
        (["rpc", "trainer", "storage/objects"], ["trainer"]),
        (["trainer_timm", "trainer_torch"], ["trainer", "timm"]),
        (["trainer_yolo", "trainer_torch"], ["trainer", "yolo"]),
    ],
)
def test_rooms_import_what_their_extras_name(rooms: list[str], extras: list[str]) -> None:
    needed = set().union(*(distributions(imported(path)) for room in rooms for path in sources(ROOT / room)))
    named = BASE.union(*(EXTRAS[extra] for extra in extras))
    assert needed - named == set()


def test_the_extras_of_servers_name_nothing_that_is_not_imported() -> None:
    gateway = set().union(
        *(
            distributions(imported(path))
            for room in ("rpc", "annotations", "gateway", "storage")
            for path in sources(ROOT / room)
        )
    )
    assert EXTRAS["gateway"] - gateway - FOUND_BY_NAME == set()
    trainer = set().union(
        *(
            distributions(imported(path))
            for room in (
                "rpc",
                "annotations",
                "trainer",
                "trainer_timm",
                "trainer_torch",
                "trainer_yolo",
                "storage/objects",
            )
            for path in sources(ROOT / room)
        )
    )
    assert (EXTRAS["trainer"] | EXTRAS["timm"] | EXTRAS["yolo"]) - trainer - FOUND_BY_NAME == set()


def test_the_gateway_needs_no_torch() -> None:
    assert not _with_all_it_brings(BASE | EXTRAS["gateway"]) & {
        "torch",
        "torchvision",
        "timm",
        "ultralytics-opencv-headless",
    }


def test_every_version_is_pinned_and_installed() -> None:
    needed = _with_all_it_brings(BASE.union(*EXTRAS.values()))
    assert {name for name in needed if not NOT_PINNED.match(name)} - set(PINNED) == set()
    wrong = {
        name: distribution(name).version for name in needed & set(PINNED) if distribution(name).version != PINNED[name]
    }
    assert wrong == {}


def test_nothing_is_pinned_that_nothing_needs() -> None:
    assert set(PINNED) - _with_all_it_brings(BASE.union(*EXTRAS.values())) == set()


def _with_all_it_brings(names: set[str]) -> set[str]:
    """The distributions and, again and again, what they require on this machine."""
    found: set[str] = set()
    waiting = [Requirement(name) for name in names]
    while waiting:
        requirement = waiting.pop()
        name = normalised(requirement.name)
        wanted = {name} | {f"{name}[{extra}]" for extra in requirement.extras}
        if wanted <= found:
            continue
        found |= wanted
        for line in requires(requirement.name) or ():
            needed = Requirement(line)
            extras = ["", *requirement.extras]
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)
    return {name for name in found if "[" not in name}
