"""Metrics into MLflow's own store: ``PYTHON -m benchmarks.mlflow_process URI``, PYTHON one that has MLflow.

Imports nothing of this project but what talks with the benchmark. Commands, by lines of JSON (``benchmarks.worker``):

begin  make the store's tables and a run
log    log ``events`` metric events of seven values each, in the largest batches; answers when that began and ended
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.worker import serve

NAMES = ("loss", "accuracy", "learning_rate", "val_loss", "f1", "precision", "recall")
# MLflow takes no more values in one call.
MAX_BATCH_VALUES = 1_000


class Logger:
    """One run of MLflow."""

    def __init__(self, uri: str) -> None:
        # Not among this project's dependencies, and not in its environment.
        from mlflow import MlflowClient  # type: ignore[import-not-found]
        from mlflow.entities import Metric  # type: ignore[import-not-found]

        self._metric = Metric
        self._open: Callable[[], Any] = lambda: MlflowClient(tracking_uri=uri)
        self._client: Any = None
        self._run_id = ""
        self._step = 0

    def handle(self, command: dict[str, Any]) -> Any:
        if command["do"] == "begin":
            self._client = self._open()
            self._run_id = self._client.create_run("0").info.run_id
            return None
        batches = []
        left = command["events"]
        while left:
            events = min(left, MAX_BATCH_VALUES // len(NAMES))
            batches.append([self._values(self._step + number) for number in range(1, events + 1)])
            self._step += events
            left -= events
        began = time.time()
        for batch in batches:
            self._client.log_batch(self._run_id, metrics=[value for values in batch for value in values])
        return began, time.time()

    def _values(self, step: int) -> list[Any]:
        now = time.time_ns() // 1_000_000
        return [self._metric(name, 1 / step, now, step) for name in NAMES]


if __name__ == "__main__":
    serve(Logger(sys.argv[1]).handle)
