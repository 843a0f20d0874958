"""The benchmarks run and say something sane; how fast anything was is not for tests to judge."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import NAMES
from benchmarks.measure import Series, difference, in_turns, percentile, ratio
from tests.tooling.imports import ROOT


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )


@pytest.mark.parametrize(
    ("name", "sides"),
    [
        ("unary_rate", {"bare handler", "gateway"}),
        ("fan_out", {"bare server, 50 watchers", "gateway, 50 watchers", "gateway, 200 watchers"}),
        ("analysis", {"bare loop", "gateway"}),
        ("upload", {"copying, synced", "copying", "boto3 to S3", "gateway to a folder", "gateway to S3"}),
        ("fetch", {"boto3, one by one", "agent"}),
    ],
)
def test_a_benchmark_compares_its_sides(name: str, sides: set[str], tmp_path: Path) -> None:
    done = run("benchmarks", name, "--quick", "--runs", "1", "--json", str(tmp_path))
    found: dict[str, Any] = json.loads((tmp_path / f"{name}.json").read_text())
    assert "processors" in found["machine"] and found["options"]["runs"] == 1 and found["options"]["quick"]
    series = [item for report in found["reports"] for item in (*report["sides"], *report["outcomes"])]
    assert {item["name"] for item in series} >= sides
    for item in series:
        [value] = item["values"]
        assert math.isfinite(value) and value > 0 and value == item["median"] == item["min"] == item["max"]
    said = " ".join(done.stdout.split())  # wherever its lines were broken
    for report in found["reports"]:
        assert report["title"] in said and report["outcomes"] and "runs of each side" in said
    assert all(f"run 1 of 1: {side}" in done.stderr for side in sides)


def test_each_says_what_it_measures() -> None:
    readme = (ROOT / "benchmarks" / "README.md").read_text()
    assert [name for name in NAMES if f"`{name}`" not in readme] == []
    assert [name for name in NAMES if not (ROOT / "benchmarks" / f"{name}.py").is_file()] == []
    help_text = run("benchmarks.unary_rate", "--help").stdout
    assert all(option in help_text for option in ("--runs", "--quick", "--json", "--threads"))


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run("benchmarks", "nothing")
    assert "no benchmark is called nothing" in caught.value.stderr


def test_sides_take_turns_and_are_compared_run_by_run() -> None:
    order: list[str] = []

    def side(name: str, values: list[float]) -> float:
        order.append(name)
        return values.pop(0)

    slow, fast = [2.0, 4.0, 3.0], [1.0, 1.0, 2.0]
    found = in_turns(3, {"slow": lambda: side("slow", slow), "fast": lambda: side("fast", fast)})
    assert order == ["slow", "fast", "fast", "slow", "slow", "fast"]
    assert found == {"slow": [2.0, 4.0, 3.0], "fast": [1.0, 1.0, 2.0]}
    both = {name: Series(name, "s", values) for name, values in found.items()}
    compared = ratio("slow / fast", both["slow"], both["fast"], target=2.0)
    assert compared.values == [2.0, 4.0, 1.5] and compared.median == 2.0 and compared.met
    assert difference("more", both["slow"], both["fast"], at_most=0.5).met is False
    assert Series("no target", "s", [1.0]).met is None
    assert percentile(range(1, 101), 50) == 51 and percentile([3.0], 99) == 3.0
    assert Series("five", "s", [1, 2, 3, 4, 100]).quartiles == (2, 4)
