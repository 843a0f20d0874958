"""The analysis of a dataset by the gateway, against a bare loop that digests and decodes the same files with as many
threads and keeps nothing.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gateway_process import GatewayProcess
from benchmarks.measure import Options, Report, Series, in_turns, main, ratio, stage
from benchmarks.pictures import write_photographs
from benchmarks.worker import Worker
from visionmesh.client import Client

TARGET = 0.8
CLASSES = 10


def measure(options: Options) -> Sequence[Report]:
    per_class = 20 if options.quick else 300
    images = CLASSES * per_class
    processors = sorted(os.sched_getaffinity(0))[: options.threads]
    with tempfile.TemporaryDirectory(prefix="visionmesh-bench-") as root:
        folder = Path(root)
        with stage("making images"):
            write_photographs(folder / "source", CLASSES, per_class)
        # Both processes are started from here and stay on these processors.
        os.sched_setaffinity(0, processors)
        threads = str(options.threads)
        with (
            GatewayProcess(folder / "gateway", VISIONMESH_ANALYSIS_THREADS=threads) as gateway,
            Client(gateway.address, gateway.token) as client,
            Worker("benchmarks.decoding_loop", str(folder / "source"), threads) as loop,
        ):
            _analyse(client, folder / "source")  # what is loaded at the first time is loaded
            found = in_turns(
                options.runs,
                {
                    "bare loop": lambda: float(loop.ask()),
                    "gateway": lambda: _analyse(client, folder / "source"),
                },
            )
    rates = {name: Series(name, "images/s", [images / seconds for seconds in values]) for name, values in found.items()}
    return [
        Report(
            "Analysis of a dataset",
            f"{images:,} JPEG files of 640 × 480 pixels in {CLASSES} classes. The loop reads each file, digests it and "
            f"decodes it by Pillow, in {threads} threads of one process. The gateway is timed from the answer of the "
            "upload to READY, seen by a client: the same (of a JPEG the brightness alone, for which all its bytes are "
            "read too) and orientation, perceptual hash, search for duplicates, made split, statistics, records in "
            "SQLite and manifest, in as many threads. Both are kept to "
            f"{len(processors)} processors; the files are in the system's cache.",
            [*rates.values()],
            [ratio("gateway / bare loop", rates["gateway"], rates["bare loop"], TARGET)],
        )
    ]


def _analyse(client: Client, source: Path) -> float:
    """Seconds of the analysis of a dataset made for it."""
    dataset = client.upload_folder(source, "analysis")
    began = time.perf_counter()
    client.wait_for_dataset(dataset.id)
    seconds = time.perf_counter() - began
    client.delete_dataset(dataset.id)
    return seconds


if __name__ == "__main__":
    main(__doc__ or "", measure)
