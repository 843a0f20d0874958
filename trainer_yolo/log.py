"""What ultralytics warns of, passed on to the log of the run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ultralytics.utils import LOGGER

from trainer.adapter import TrainingReporter


@contextmanager
def passed_on_log(reporter: TrainingReporter) -> Iterator[None]:
    """Give warnings and errors of ultralytics to ``reporter`` and to nobody else."""
    handlers, level = LOGGER.handlers, LOGGER.level
    LOGGER.handlers = [_Passing(reporter)]
    LOGGER.setLevel(logging.WARNING)
    try:
        yield
    finally:
        LOGGER.handlers = handlers
        LOGGER.setLevel(level)


class _Passing(logging.Handler):
    def __init__(self, reporter: TrainingReporter) -> None:
        super().__init__()
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        self._reporter.log(level, f"ultralytics: {record.getMessage()}")
