"""What the source of this repository imports, read without running it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (
    "visionmesh",
    "rpc",
    "annotations",
    "gateway",
    "storage",
    "trainer",
    "trainer_timm",
    "trainer_torch",
    "trainer_yolo",
)


def sources(folder: Path) -> Iterator[Path]:
    """The Python files below ``folder``."""
    return (path for path in sorted(folder.rglob("*.py")) if "__pycache__" not in path.parts)


@cache
def imported(path: Path) -> frozenset[str]:
    """The dotted names that a file imports, ``from a import b`` as ``a.b``."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


def distributions(names: frozenset[str]) -> set[str]:
    """The installed distributions that hold these modules, normalised; the standard library and our own are none."""
    known = _known()
    found: set[str] = set()
    for name in names:
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top in ROOMS:
            continue
        if top == "google":
            found.add("googleapis-common-protos" if name.startswith(("google.rpc", "google.api")) else "protobuf")
        elif top == "botocore":
            found.add("boto3")  # its lower half: they come together, in versions that fit
        else:
            found.add(normalised(known[top][0]))
    return found


@cache
def _known() -> Mapping[str, list[str]]:
    return packages_distributions()


def normalised(distribution: str) -> str:
    """A distribution's name as it is compared."""
    return distribution.lower().replace("_", "-").replace(".", "-")


def own_modules(start: str) -> set[Path]:
    """The files of this repository that ``start`` (a dotted module) needs, itself included."""
    assert ROOT.joinpath(*start.split(".")).with_suffix(".py").is_file(), start
    found: set[Path] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        for path in _files(name):
            if path not in found:
                found.add(path)
                waiting += [other for other in imported(path) if other.partition(".")[0] in ROOMS]
    return found


def _files(name: str) -> list[Path]:
    """The files that importing a dotted name runs: the packages above it and the module; an attribute adds nothing."""
    files = []
    folder = ROOT
    for part in name.split("."):
        module = folder / f"{part}.py"
        if module.is_file():
            files.append(module)
        folder = folder / part
        if (folder / "__init__.py").is_file():
            files.append(folder / "__init__.py")
        elif not folder.is_dir():
            break
    return files
