"""``python -m trainer_timm.count_parameters``: count every architecture of timm, in some five minutes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import timm

from trainer_timm.parameter_counts import FILE, count_parameters


def main() -> None:
    """Write the file of counts; one line an architecture, so that a difference can be read."""
    parser = argparse.ArgumentParser(prog="python -m trainer_timm.count_parameters", description=__doc__)
    parser.add_argument("--out", type=Path, default=FILE, help="file to write (default: the one that is served)")
    parser.add_argument("names", nargs="*", metavar="NAME", help="count these alone (default: all)")
    arguments = parser.parse_args()
    names = arguments.names or timm.list_models()
    counts = {}
    for number, name in enumerate(names, start=1):
        counts[name] = count_parameters(name)
        print(f"{number} of {len(names)}: {name} {counts[name]}", flush=True)
    content = {"timm_version": timm.__version__, "parameters": counts}
    arguments.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
