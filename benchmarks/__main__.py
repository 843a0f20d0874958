"""Several benchmarks one after the other: ``python -m benchmarks [NAME …] [OPTION …]``; all of them without names.

Options are those of each benchmark; ``--json FOLDER`` writes one file each. A benchmark that fails fails all.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.worker import HOME, environment

# The cheap ones first.
NAMES = (
    "unary_rate",
    "event_rate",
    "restart",
    "watch_latency",
    "fan_out",
    "upload",
    "analysis",
    "fetch",
    "prediction",
    "yolo_prediction",
    "memory",
    "fast_start",
    "training_throughput",
    "yolo_training",
)


def _main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"benchmarks: {', '.join(NAMES)}; `python -m benchmarks.NAME --help` tells of one and of its options",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which to run [all]")
    parser.add_argument("--json", type=Path, metavar="FOLDER", help="write FOLDER/NAME.json of each")
    given, options = parser.parse_known_args()
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    failed = []
    for name in given.names or NAMES:
        print(f"{name}:", file=sys.stderr, flush=True)
        more = []
        if given.json is not None:
            given.json.mkdir(parents=True, exist_ok=True)
            more = ["--json", str(given.json.resolve() / f"{name}.json")]
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", *options, *more], cwd=HOME, env=environment(), check=False
        )
        if done.returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(_main())
