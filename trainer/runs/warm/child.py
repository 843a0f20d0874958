"""From a copy of the warm parent to a training process."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from trainer.runs import process
from trainer.runs.warm.messages import GO, TrainingRequest
from trainer.runs.warm.title import name_process


def become_training(
    request: TrainingRequest, files: Sequence[int], imported: Mapping[str, str], leave_to_parent: Callable[[], None]
) -> NoReturn:
    """Train, in a process that was just forked, as ``python -m trainer.runs.process`` would; never returns.

    ``files`` become standard input, output and error. ``imported`` are the variables that imports left in the
    environment, and ``leave_to_parent`` closes what is the parent's.
    """
    code = 1
    try:
        os.setpgid(0, 0)
        leave_to_parent()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.chdir(request.working_folder)
        os.environ.clear()
        os.environ.update({**request.environment, **imported})
        sys.argv = [process.__file__, *request.arguments]
        name_process([sys.executable, "-m", process.__name__, *request.arguments])
        # An agent that has died, or has not heard of this process, must not find it training.
        if os.read(0, len(GO)) == GO:
            code = process.main(list(request.arguments))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Like a training process of its own interpreter; and the parent's way out is not this process's.
        os._exit(code)
