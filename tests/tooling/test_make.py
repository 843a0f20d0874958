"""`make help` tells of every target, and what the README's two commands leave behind is not for git."""

from __future__ import annotations

import re
import subprocess

from tests.tooling.imports import ROOT


def test_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    [phony] = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [target for target in phony.split() if not re.search(rf"^  {target} ", shown, re.MULTILINE)] == []


def test_what_runs_leave_behind_is_ignored() -> None:
    left = ["demo-data/x", "visionmesh-data/token", ".venv/bin/python", ".pytest_cache/x", "build/x"]
    found = subprocess.run(
        ["git", "check-ignore", "--no-index", *left], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.stdout.split() == left
