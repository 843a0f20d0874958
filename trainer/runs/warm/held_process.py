"""A process that its starter holds by a connection: it ends by itself once the starter, or its end, is gone."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from trainer.runs.training_environment import CHECKOUT
from trainer.runs.warm.messages import socket_pair
from trainer.runs.warm.title import ROOM


class HeldProcess:
    """A module of this package, running; ``control`` is what it listens to."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self.process = process
        self.control = control

    @classmethod
    def start(cls, module: str, *arguments: str, log_file: Path, environment: Mapping[str, str]) -> Self:
        """Run ``python -m module`` with room for a title of its own, both outputs in ``log_file``. Raises OSError."""
        control, theirs = socket_pair()
        try:
            with theirs, log_file.open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", module, *arguments, "--control", str(theirs.fileno()), "--room", ROOM],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=CHECKOUT,
                    env=environment,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except OSError:
            control.close()
            raise
        return cls(process, control)

    @property
    def lives(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None
