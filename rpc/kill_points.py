"""Named points at which a process can be told to kill itself, before and after each commit that matters.

``VISIONMESH_KILL_AT=ingest.after_commit:3`` makes a process SIGKILL itself when it passes that point for the third
time: nothing is tidied up, as if the kernel had done it. It is there to show what a death at the worst moment costs
(docs/failures.md); without the variable a point costs one look at a kept value.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from enum import StrEnum
from functools import cache

VARIABLE = "VISIONMESH_KILL_AT"


class KillPoint(StrEnum):
    """Every point. The name before the dot says what is under way, the one behind it how far that has come."""

    # The gateway, taking a batch of a run's events.
    INGEST_BEFORE_COMMIT = "ingest.before_commit"
    INGEST_AFTER_COMMIT = "ingest.after_commit"
    # The gateway, taking a queued job to a trainer.
    DISPATCH_BEFORE_COMMIT = "dispatch.before_commit"
    DISPATCH_RECORDED = "dispatch.recorded"
    DISPATCH_STARTED = "dispatch.started"
    # The gateway, taking in files of a dataset.
    UPLOAD_STORED = "upload.stored"
    UPLOAD_RECORDED = "upload.recorded"
    # The gateway, at the end of an analysis.
    ANALYSIS_MANIFEST_STORED = "analysis.manifest_stored"
    ANALYSIS_READY = "analysis.ready"
    # The gateway, removing objects that no record names any more.
    REMOVAL_OF_DATASET = "removal.of_dataset"
    REMOVAL_OF_OBJECTS = "removal.of_objects"
    # The trainer server, starting a run.
    START_FOLDER_MADE = "start.folder_made"
    START_AGENT_STARTED = "start.agent_started"
    # The run agent, publishing a checkpoint.
    CHECKPOINT_WRITTEN = "checkpoint.written"
    CHECKPOINT_UPLOADED = "checkpoint.uploaded"
    CHECKPOINT_RECORDED = "checkpoint.recorded"
    # The run agent, at the end of its run.
    END_RECORDED = "end.recorded"
    END_PUBLISHED = "end.published"


class _Armed:
    """The point to die at, and how often it was passed."""

    def __init__(self, point: KillPoint, passage: int) -> None:
        self._point = point
        self._left = passage
        self._lock = threading.Lock()

    def pass_by(self, point: KillPoint) -> None:
        if point is not self._point:
            return
        with self._lock:
            self._left -= 1
            due = self._left == 0
        if due:
            sys.stderr.write(f"{VARIABLE}: killed at {point}\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGKILL)


def passing(point: KillPoint) -> None:
    """Say that the process is at ``point``; it may not come back from here."""
    armed = _armed()
    if armed is not None:
        armed.pass_by(point)


def check_kill_point() -> None:
    """Raises ValueError, which says what would be right, where the variable names no point or no passage."""
    _armed()


@cache
def _armed() -> _Armed | None:
    text = os.environ.get(VARIABLE, "")
    if not text:
        return None
    name, _, passage = text.partition(":")
    if name not in set(KillPoint):
        raise ValueError(f"there is no point {name!r}; there are: {', '.join(KillPoint)}")
    if passage and not (passage.isascii() and passage.isdigit() and int(passage) > 0):
        raise ValueError(f"{passage!r} is not the number of a passage, which counts from 1, as in {name}:1")
    return _Armed(KillPoint(name), int(passage or 1))
