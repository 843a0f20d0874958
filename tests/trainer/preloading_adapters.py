"""What importing a framework can do to the process that does it."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from tests.trainer.counting_adapter import CountingAdapter
from trainer.adapter import TrainingDataset, TrainingReporter, TrainingSpec

HERE = "tests.trainer.preloading_adapters"


class LeavesVariables(CountingAdapter):
    """Its library sets variables when it is imported, and reads them later."""

    def preload_training(self) -> None:
        os.environ["LIBRARY_FOLDER"] = "of the import"

    def train(self, spec: TrainingSpec, dataset: TrainingDataset, run_folder: Path, reporter: TrainingReporter) -> bool:
        reporter.log(
            "info", f"library folder: {os.environ.get('LIBRARY_FOLDER')}, left over: {os.environ.get('PARENT')}"
        )
        return super().train(spec, dataset, run_folder, reporter)


class StartsThreads(CountingAdapter):
    """Its library starts a thread when it is imported."""

    def preload_training(self) -> None:
        threading.Thread(target=time.sleep, args=(600,), name="worker of a library", daemon=True).start()


class CannotBeImported(CountingAdapter):
    """Its library is not there, where it is asked for early."""

    def preload_training(self) -> None:
        raise ImportError("no such library")


class TakesLong(CountingAdapter):
    """Its library takes longer to import than anyone waits."""

    def preload_training(self) -> None:
        time.sleep(600)
