"""Streams that outlive a broken connection: reconnect from a cursor, without gap and without repeat."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import grpc

from visionmesh.errors import VisionMeshError, from_rpc

Item = TypeVar("Item")
Item_co = TypeVar("Item_co", covariant=True)

OnReconnect = Callable[[VisionMeshError, float], None]
"""Told of a broken stream and of the seconds until the next try."""

# A connection that died without a word is noticed at this age at the latest; the cursor makes the change unseen.
STREAM_SECONDS = 300.0
FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 5.0


class Stream(Protocol[Item_co]):
    """The response side of a streaming call."""

    def __iter__(self) -> Iterator[Item_co]: ...
    def cancel(self) -> bool: ...


@dataclass(frozen=True)
class Patience:
    """How long a stream waits for a gateway that is away, in seconds since it last heard from it.

    ``on_reconnect`` is called before each new try, ``on_reconnected`` when the gateway was heard of again.
    """

    seconds: float = 60.0
    on_reconnect: OnReconnect | None = None
    on_reconnected: Callable[[], None] | None = None


def patiently(call: Callable[[], Item], patience: Patience) -> Item:
    """Call a gateway that may be away for a while. Raises ``VisionMeshError`` for every other error, and when patience
    ends."""
    delays = Backoff(patience)
    while True:
        try:
            answer = call()
        except VisionMeshError as failure:
            delays.wait(failure)
        else:
            delays.heard()
            return answer


def follow(
    open_stream: Callable[[int | None], Stream[Item]],
    sequence_of: Callable[[Item], int | None],
    after_sequence: int | None,
    patience: Patience,
) -> Iterator[Item]:
    """Iterate a stream to its end, opening it again after the last sequence seen when the gateway is UNAVAILABLE.

    ``open_stream`` takes ``after_sequence``; ``sequence_of`` gives an item's sequence, or None for a sign of life,
    which is not passed on. Raises ``VisionMeshError`` for every other error, and when patience ends.

    Begun without ``after_sequence``, what is kept is asked for: when some of what was not seen yet has been removed,
    that is told to ``patience`` and the stream goes on with the rest.
    """
    cursor = after_sequence
    from_oldest = False
    delays = Backoff(patience)
    while True:
        stream = open_stream(None if from_oldest else cursor)
        from_oldest = False
        delays.began()
        try:
            for item in stream:
                delays.heard()
                sequence = sequence_of(item)
                if sequence is None or (cursor is not None and sequence <= cursor):
                    continue
                cursor = sequence
                yield item
            return
        except grpc.RpcError as error:
            from_oldest = after_sequence is None and from_rpc(error).reason == "SEQUENCE_EXPIRED"
            if from_oldest:
                delays.told(from_rpc(error))
            else:
                delays.broke(error)
        finally:
            stream.cancel()


class Backoff:
    """Waits between tries, longer each time, until patience ends."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._told_of_break = False
        self.heard()

    def heard(self) -> None:
        """The gateway was heard of: begin again with short waits."""
        if self._told_of_break and self._patience.on_reconnected is not None:
            self._patience.on_reconnected()
        self._told_of_break = False
        self._alive = True
        self._delay = FIRST_DELAY_SECONDS
        self._last_heard = time.monotonic()

    def began(self) -> None:
        """A stream was opened that has said nothing yet."""
        self._alive = False

    def told(self, failure: VisionMeshError) -> None:
        """A stream is opened again at once, and not as it was."""
        if self._patience.on_reconnect is not None:
            self._patience.on_reconnect(failure, 0.0)

    def broke(self, error: grpc.RpcError) -> None:
        """Wait before a stream is opened again; at once when a stream that was alive reached its age limit."""
        failure = from_rpc(error)
        if self._alive and failure.code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return
        self.wait(failure, error)

    def wait(
        self, failure: VisionMeshError, cause: grpc.RpcError | None = None, *, worthwhile: bool | None = None
    ) -> None:
        """Sleep before the next try, or raise ``failure`` when another try is pointless or patience has ended.

        ``worthwhile`` says whether another try may succeed; by default it may when the gateway is away.
        """
        if worthwhile is None:
            worthwhile = failure.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        if not worthwhile or time.monotonic() - self._last_heard >= self._patience.seconds:
            raise failure from cause
        delay = failure.retry_seconds or self._delay * random.uniform(0.8, 1.2)
        self._told_of_break = True
        if self._patience.on_reconnect is not None:
            self._patience.on_reconnect(failure, delay)
        time.sleep(delay)
        self._delay = min(self._delay * 2, LONGEST_DELAY_SECONDS)
