"""The shell lines of a Markdown page, run as a reader would who pastes them one after the other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from visionmesh.cli.processes import EmbeddedMesh

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```bash(?: (?P<mark>\w+))?\n(?P<lines>.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = "@@ end of line"
_SECONDS = 180.0


@dataclass(frozen=True)
class Line:
    """A line of a page; ``mark`` is the word behind ``bash`` of its block."""

    text: str
    mark: str


@dataclass(frozen=True)
class Outcome:
    """What a line printed, on either stream, and its exit status."""

    line: Line
    printed: str
    status: int


def lines(page: str, first_block_only: bool = False) -> list[Line]:
    """The shell lines of a page of this repository."""
    blocks = [*_BLOCK.finditer((ROOT / page).read_text(encoding="utf-8"))]
    return [
        Line(text, block["mark"] or "")
        for block in (blocks[:1] if first_block_only else blocks)
        for text in block["lines"].splitlines()
    ]


def run(page_lines: list[Line], mesh: EmbeddedMesh) -> list[Outcome]:
    """Run the lines in one shell at the root of the checkout, against ``mesh``."""
    script = "".join(f'{line.text}\necho "{_MARK} $?"\n' for line in page_lines)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "VISIONMESH_ADDRESS": mesh.address,
        "VISIONMESH_TOKEN_FILE": str(mesh.token_file),
    }
    shell = subprocess.run(
        ["bash", "-o", "pipefail"],
        input=script,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_SECONDS,
        check=True,
    )
    *printed, rest = re.split(rf"^{_MARK} (\d+)\n", shell.stdout, flags=re.MULTILINE)
    assert rest == "" and len(printed) == 2 * len(page_lines), shell.stdout
    return [
        Outcome(line, text, int(status))
        for line, text, status in zip(page_lines, printed[::2], printed[1::2], strict=True)
    ]
