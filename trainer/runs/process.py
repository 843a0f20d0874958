"""The training process: ``python -m trainer.runs.process RUN_FOLDER DATASET_JSON``.

It knows its run folder and nothing else: no network of its own, no secrets. Standard input is a pipe that nobody
writes to; its end means that the agent died, and then nothing may train unseen.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path

from trainer.adapter import BadTrainingData, PretrainedUnavailable, TrainingDiverged
from trainer.loading import load_adapter
from trainer.runs.endings import DISK_FULL
from trainer.runs.folder import RunFolder
from trainer.runs.full_disk import MESSAGE, is_disk_full
from trainer.runs.reporter import SpoolReporter
from trainer.runs.training_inputs import TrainingInputs, task_name, training_spec
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import common_pb2, event_pb2

MAX_MESSAGE_CHARACTERS = 2000

_REASONS: dict[type[Exception], str] = {
    TrainingDiverged: "TRAINING_DIVERGED",
    BadTrainingData: "BAD_TRAINING_DATA",
    PretrainedUnavailable: "PRETRAINED_UNAVAILABLE",
}


def train(folder: RunFolder, inputs: TrainingInputs, reporter: SpoolReporter) -> run_pb2.RunEnd:
    """Train and say how it ended. What the adapter raises becomes a failure; its traceback goes to standard error."""
    settings, run = folder.settings(), folder.spec()
    try:
        adapter = load_adapter(settings.adapter_path, settings.pretrained_folder)
        spec = training_spec(run, adapter.config_schema(task_name(run.task_type)), settings.threads, inputs)
        if reporter.should_stop():
            return run_pb2.RunEnd(outcome=event_pb2.ATTEMPT_OUTCOME_STOPPED)
        completed = adapter.train(spec, inputs.dataset, folder.path, reporter)
    except (Exception, SystemExit) as error:
        with suppress(OSError):  # a disk that is full has no room for it
            traceback.print_exc()
        return run_pb2.RunEnd(outcome=event_pb2.ATTEMPT_OUTCOME_FAILED, failure=_failure(error))
    outcome = event_pb2.ATTEMPT_OUTCOME_COMPLETED if completed else event_pb2.ATTEMPT_OUTCOME_STOPPED
    return run_pb2.RunEnd(outcome=outcome)


def _failure(error: BaseException) -> common_pb2.Failure:
    for kind, reason in _REASONS.items():
        if isinstance(error, kind):
            return common_pb2.Failure(reason=reason, message=str(error)[:MAX_MESSAGE_CHARACTERS])
    if is_disk_full(error):
        return common_pb2.Failure(reason=DISK_FULL, message=MESSAGE)
    message = f"The training raised {type(error).__name__}: {error}"
    return common_pb2.Failure(reason="TRAINING_ERROR", message=message[:MAX_MESSAGE_CHARACTERS])


def _die_with_agent() -> None:
    """Kill this process and its workers as soon as the agent's end of standard input is closed."""
    watched = os.dup(0)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)

    def watch() -> None:
        while os.read(watched, 4096):
            pass
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(1)  # started by hand, in someone else's group

    threading.Thread(target=watch, name="agent-watch", daemon=True).start()


def main(arguments: list[str]) -> int:
    """Train the run in the given folder; 0 when the training completed or was stopped, 1 when it failed."""
    folder = RunFolder(Path(arguments[0]))
    _die_with_agent()
    inputs = TrainingInputs.load(Path(arguments[1]))
    reporter = SpoolReporter(folder, inputs.dataset.class_names)
    signal.signal(signal.SIGTERM, lambda number, frame: reporter.request_stop())
    end = train(folder, inputs, reporter)
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    reporter.end(end)
    return 1 if end.outcome == event_pb2.ATTEMPT_OUTCOME_FAILED else 0


if __name__ == "__main__":
    # Native libraries may hang or crash while they are torn down, and all that counts is on disk.
    os._exit(main(sys.argv[1:]))
