"""Reading, digesting and decoding images in threads, as little as an analysis can do.

``python -m benchmarks.decoding_loop FOLDER THREADS``. Every command, by a line of JSON (``benchmarks.worker``), is
answered by the seconds that all images below the folder took.
"""

from __future__ import annotations

import hashlib
import io
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from benchmarks.worker import serve


def look(paths: Sequence[Path]) -> None:
    for path in paths:
        data = path.read_bytes()
        hashlib.sha256(data).hexdigest()
        with Image.open(io.BytesIO(data)) as image:
            image.load()


def main(folder: Path, threads: int) -> None:
    paths = sorted(folder.glob("*/*"))
    with ThreadPoolExecutor(threads) as pool:

        def run(_: object) -> float:
            began = time.perf_counter()
            # Every so-manieth file to each thread: all get the same work, without a queue.
            list(pool.map(look, [paths[start::threads] for start in range(threads)]))
            return time.perf_counter() - began

        serve(run)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
