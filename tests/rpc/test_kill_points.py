"""Where a process is told to die it dies, at the passage that was named, and nowhere else."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rpc.kill_points import VARIABLE, KillPoint

ROOT = Path(__file__).parents[2]
PASS_THRICE = """
from rpc.kill_points import KillPoint, passing
for number in range(1, 4):
    passing(KillPoint.INGEST_BEFORE_COMMIT)
    passing(KillPoint.INGEST_AFTER_COMMIT)
    print(number, flush=True)
"""


def run(code: str, kill_at: str | None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({VARIABLE: kill_at} if kill_at is not None else {})}
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("kill_at", "passed"),
    [
        (None, ["1", "2", "3"]),
        ("", ["1", "2", "3"]),
        ("ingest.before_commit", []),
        ("ingest.after_commit:1", []),
        ("ingest.after_commit:3", ["1", "2"]),
        ("ingest.after_commit:4", ["1", "2", "3"]),
        ("end.published", ["1", "2", "3"]),
    ],
)
def test_a_process_dies_at_the_passage_that_is_named(kill_at: str | None, passed: list[str]) -> None:
    ended = run(PASS_THRICE, kill_at)
    assert ended.stdout.split() == passed
    if passed == ["1", "2", "3"]:
        assert (ended.returncode, ended.stderr) == (0, "")
    else:
        assert ended.returncode == -signal.SIGKILL and str(kill_at).partition(":")[0] in ended.stderr


@pytest.mark.parametrize(
    ("kill_at", "said"),
    [
        ("ingest", "there is no point 'ingest'; there are: ingest.before_commit, ingest.after_commit"),
        ("ingest.after_commit:0", "'0' is not the number of a passage"),
        ("ingest.after_commit:twice", "'twice' is not the number of a passage"),
        ("ingest.after_commit:-1", "'-1' is not the number of a passage"),
    ],
)
def test_what_names_no_passage_of_a_point_is_refused(kill_at: str, said: str) -> None:
    ended = run("from rpc.kill_points import check_kill_point as check; check()", kill_at)
    assert ended.returncode == 1 and f"ValueError: {said}" in ended.stderr


def test_every_point_is_passed_somewhere_and_stands_in_the_page() -> None:
    code = "".join(path.read_text() for room in ("gateway", "trainer") for path in (ROOT / room).rglob("*.py"))
    assert set(re.findall(r"passing\(KillPoint\.(\w+)\)", code)) == set(KillPoint.__members__)
    page = (ROOT / "docs" / "failures.md").read_text().partition("## Kill points")[2]
    assert re.findall(r"^\| `([a-z_.]+)` \|", page, re.MULTILINE) == list(KillPoint)
