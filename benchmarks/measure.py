"""Runs taken in turns, and what they say: median, spread, ratio, the machine, as a table and as JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RUNS = 5
VERSIONS = ("grpcio", "torch", "timm", "onnxruntime", "sqlalchemy")


@dataclass(frozen=True)
class Options:
    """How to measure: ``runs`` of each side, ``threads`` of compute each; ``quick`` asks for small work.

    ``sizes`` are the numbers of a benchmark's own options, 0 where none was given; ``texts`` its words, then empty.
    """

    runs: int = RUNS
    quick: bool = False
    threads: int = 1
    sizes: Mapping[str, int] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Series:
    """One number per run of a side, or of a comparison of sides. ``target`` 0 says that there is none to meet."""

    name: str
    unit: str
    values: Sequence[float]
    target: float = 0.0
    at_most: bool = False

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Where the middle half of the runs begins and ends; the ends of all where they are too few."""
        if len(self.values) < 4:
            return min(self.values), max(self.values)
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return low, high

    @property
    def met(self) -> bool | None:
        """Whether the median meets the target; None where there is none."""
        if not self.target:
            return None
        return self.median <= self.target if self.at_most else self.median >= self.target

    def as_json(self) -> dict[str, Any]:
        found = {"median": self.median, "min": min(self.values), "max": max(self.values), "quartiles": self.quartiles}
        return {**asdict(self), "values": list(self.values), **found, "met": self.met}


@dataclass(frozen=True)
class Report:
    """What a benchmark found: the ``sides`` as measured, the ``outcomes`` of comparing them, and how it was taken."""

    title: str
    how: str
    sides: Sequence[Series]
    outcomes: Sequence[Series] = ()
    notes: Mapping[str, str] = field(default_factory=dict)


def ratio(name: str, over: Series, under: Series, target: float = 0.0, *, at_most: bool = False) -> Series:
    """``over`` / ``under``, run by run: both numbers of a run were taken one after the other."""
    pairs = zip(over.values, under.values, strict=True)
    return Series(name, "", [a / b for a, b in pairs], target, at_most=at_most)


def difference(name: str, of: Series, less: Series, at_most: float = 0.0) -> Series:
    """``of`` − ``less``, run by run."""
    pairs = zip(of.values, less.values, strict=True)
    return Series(name, of.unit, [a - b for a, b in pairs], at_most, at_most=True)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that ``percent`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def in_turns(runs: int, sides: Mapping[str, Callable[[], Any]]) -> dict[str, list[Any]]:
    """Run every side ``runs`` times, A B A B …, telling of each on standard error; gives the results by side.

    What slows the machine down for a while then slows all sides down, and every other round begins with the last side,
    so that none always runs in the wake of the same other.
    """
    results: dict[str, list[Any]] = {name: [] for name in sides}
    for number in range(1, runs + 1):
        order = list(sides) if number % 2 else list(sides)[::-1]
        for name in order:
            with stage(f"run {number} of {runs}: {name}"):
                results[name].append(sides[name]())
    return results


class stage:
    """Tells on standard error of work that takes a while, and how long it took."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        self._began = time.monotonic()
        sys.stderr.write(f"  {self._what} …")
        sys.stderr.flush()

    def __exit__(self, *ended: object) -> None:
        sys.stderr.write(f" {time.monotonic() - self._began:.1f} s\n" if ended[0] is None else " failed\n")


def machine() -> dict[str, str]:
    """What the numbers depend on besides the code."""
    model = next(_cpu_models(), platform.processor() or "unknown")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return {
        "processors": f"{len(os.sched_getaffinity(0))} × {model}",
        "load before": load,
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {found}" for name, found in _versions()),
    }


def main(
    description: str,
    measure: Callable[[Options], Sequence[Report]],
    *,
    runs: int = RUNS,
    sizes: Mapping[str, str] | None = None,
    texts: Mapping[str, str] | None = None,
) -> None:
    """The command line of a benchmark: measure, print tables, write JSON. ``sizes`` and ``texts`` are its own options,
    numbers and words, with help."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=runs, help=f"runs of each side, in turns [{runs}]")
    parser.add_argument("--quick", action="store_true", help="small work: says whether it runs, and roughly how fast")
    parser.add_argument(
        "--threads",
        type=int,
        default=os.cpu_count() or 1,
        help="compute threads of each side, where it computes [all processors]",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything there ('-': standard output)")
    for name, help_ in (sizes or {}).items():
        parser.add_argument(f"--{name}", type=int, default=0, help=help_)
    for name, help_ in (texts or {}).items():
        parser.add_argument(f"--{name}", default="", help=help_)
    given = parser.parse_args()
    if given.runs < 1 or given.threads < 1:
        parser.error("--runs and --threads must be 1 or more")
    before = machine()
    own = {name: getattr(given, name) for name in sizes or {}}
    words = {name: getattr(given, name.replace("-", "_")) for name in texts or {}}
    options = Options(given.runs, given.quick, given.threads, own, words)
    reports = measure(options)
    to_stdout = given.json is not None and str(given.json) == "-"
    console = Console(stderr=to_stdout, width=None if sys.stdout.isatty() else 130)
    for report in reports:
        show(console, report, options, before)
    if given.json is not None:
        text = json.dumps(as_json(reports, options, before), indent=2)
        if to_stdout:
            print(text)
        else:
            given.json.write_text(text + "\n", encoding="utf-8")


def show(console: Console, report: Report, options: Options, found: Mapping[str, str]) -> None:
    """Print a report."""
    table = Table(title=report.title, title_justify="left")
    table.add_column("")
    for column in ("median", "middle half", "min – max", "unit", "target", ""):
        table.add_column(column, justify="right" if column not in ("unit", "") else "left")
    for series in report.sides:
        table.add_row(*_cells(series))
    if report.outcomes:
        table.add_section()
    for series in report.outcomes:
        table.add_row(*_cells(series), style="bold")
    console.print(table)
    size = " Quick: the work is too small for figures to quote." if options.quick else ""
    console.print(f"{report.how} {options.runs} runs of each side, in turns.{size}", highlight=False)
    for name, text in {**report.notes, **found}.items():
        console.print(f"  {name}: {text}", highlight=False, style="dim")
    console.print()


def as_json(reports: Sequence[Report], options: Options, found: Mapping[str, str]) -> dict[str, Any]:
    """Everything that was measured, for machines."""
    return {
        "machine": dict(found),
        "options": asdict(options),
        "reports": [
            {
                "title": report.title,
                "how": report.how,
                "notes": dict(report.notes),
                "sides": [series.as_json() for series in report.sides],
                "outcomes": [series.as_json() for series in report.outcomes],
            }
            for report in reports
        ],
    }


def _cells(series: Series) -> list[str]:
    low, high = series.quartiles
    target, verdict = "", ""
    if series.met is not None:
        target = f"{'<' if series.at_most else '≥'} {series.target:g}"
        verdict = "met" if series.met else "missed"
    spread = f"{_number(min(series.values))} – {_number(max(series.values))}"
    middle = f"{_number(low)} – {_number(high)}"
    return [series.name, _number(series.median), middle, spread, series.unit, target, verdict]


def _number(value: float) -> str:
    """Three significant digits, and all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cpu_models() -> Iterator[str]:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    yield line.partition(":")[2].strip()
    except OSError:
        return


def _versions() -> Iterator[tuple[str, str]]:
    for name in VERSIONS:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
