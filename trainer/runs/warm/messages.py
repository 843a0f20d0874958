"""What is said over the sockets of a warm parent: one JSON object a message, open files beside it.

Sockets are ``SOCK_SEQPACKET`` pairs: a message is received whole or not at all, and an end that dies is the end of the
conversation. They have no name, so that only those talk to a parent who were handed an end of one.

trainer server → parent: an agent's end of a pair
parent → agent: ``ready``; after a request ``pid`` and ``started``, or ``refused``; at last ``returncode``
agent → parent: a ``TrainingRequest``, with the files that become 0, 1 and 2 of the training process
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

# An environment larger than this does not get through; its training gets an interpreter of its own.
MAX_MESSAGE_BYTES = 128 << 10
# What an agent writes to the standard input of a forked training: it is known to be alive, and may begin.
GO = b"\n"


@dataclass(frozen=True)
class TrainingRequest:
    """A training process to fork: ``arguments`` as ``trainer.runs.process`` takes them."""

    run_folder: str
    arguments: Sequence[str]
    working_folder: str
    environment: Mapping[str, str]

    def send(self, connection: socket.socket, files: Sequence[int]) -> None:
        """Ask for it. Raises OSError, also when it is larger than a message can be."""
        send(connection, asdict(self), files)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read what ``send`` sent."""
        return cls(**json.loads(data))


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(connection: socket.socket, message: Mapping[str, Any], files: Sequence[int] = ()) -> None:
    """Send a message without waiting for its receiver. Raises OSError."""
    data = json.dumps(message).encode()
    if len(data) > MAX_MESSAGE_BYTES:
        raise OSError(f"a message of {len(data)} bytes is larger than {MAX_MESSAGE_BYTES}")
    socket.send_fds(connection, [data], files, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
