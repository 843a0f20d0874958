"""``python -m trainer_yolo.count_models``: measure every model of the catalogue, in some five minutes."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from trainer_yolo.counts import FILE, measure
from trainer_yolo.definitions import definitions, ultralytics_version


def main() -> None:
    """Write the file of measures; one line a model, so that a difference can be read."""
    parser = argparse.ArgumentParser(prog="python -m trainer_yolo.count_models", description=__doc__)
    parser.add_argument("--out", type=Path, default=FILE, help="file to write (default: the one that is served)")
    parser.add_argument("names", nargs="*", metavar="NAME", help="measure these alone (default: all)")
    arguments = parser.parse_args()
    known = definitions()
    lines = []
    for name in arguments.names or known:
        measured = measure(known[name])
        lines.append(f"  {json.dumps(name)}: {json.dumps(asdict(measured))}")
        print(lines[-1].strip(), flush=True)
    head = f'{{\n "ultralytics_version": {json.dumps(ultralytics_version())},\n "models": {{\n'
    arguments.out.write_text(head + ",\n".join(lines) + "\n }\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
