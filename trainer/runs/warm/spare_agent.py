"""A run agent without a run: ``python -m trainer.runs.warm.spare_agent --control FD``.

It has imported what an agent imports, and waits until the trainer server assigns it a run; then it is the agent of that
run and nothing else. It ends when the server ends before that.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from trainer.runs import agent
from trainer.runs.warm.messages import MAX_MESSAGE_BYTES, send
from trainer.runs.warm.title import name_process


@dataclass(frozen=True)
class Assignment:
    """A run for a spare agent: ``arguments`` and ``environment`` are those of ``trainer.runs.agent``; ``options`` are
    more of its arguments, each followed by the number of a file that comes with the message."""

    arguments: Sequence[str]
    options: Sequence[str]
    environment: Mapping[str, str]

    def send(self, spare: socket.socket, log: int, files: Sequence[int]) -> None:
        """Give it; ``log`` is where its output goes, ``files`` are those of the options. Raises OSError."""
        send(spare, asdict(self), [log, *files])


def main(arguments: list[str]) -> int:
    """Wait for a run, and be its agent."""
    parser = argparse.ArgumentParser(prog="python -m trainer.runs.warm.spare_agent")
    parser.add_argument("--control", type=int, required=True, help="descriptor of a socket to the trainer server")
    parser.add_argument("--room", help="only makes the command line longer: that of the agent is written over it")
    options = parser.parse_args(arguments)
    with socket.socket(fileno=options.control) as server:
        data, files, _, _ = socket.recv_fds(server, MAX_MESSAGE_BYTES, 8)
    if not data:
        return 0
    assignment = Assignment(**json.loads(data))
    log, *rest = files
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.environ.update(assignment.environment)
    words = list(assignment.arguments)
    for option, file in zip(assignment.options, rest, strict=True):
        words += [option, str(file)]
    name_process([sys.executable, "-m", agent.__name__, *words])
    return agent.main(words)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that wait for a store that hangs must not keep a finished agent.
    os._exit(code)
