"""How much of the files of all uploads may lie in memory on its way to the store."""

from __future__ import annotations

import asyncio
from collections import deque


class MemoryBudget:
    """Bytes to be had by whoever will give them back without waiting for a client; first come, first served.

    One request larger than everything there is gets it all.
    """

    def __init__(self, size_bytes: int) -> None:
        self._size = size_bytes
        self._free = size_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size_bytes: int) -> int:
        """Wait for so many bytes; gives how many to ``give_back``."""
        wanted = min(size_bytes, self._size)
        if self._waiting or wanted > self._free:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((wanted, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.give_back(wanted)
                else:
                    self._waiting.remove((wanted, turn))
                    self._serve()
                raise
        else:
            self._free -= wanted
        return wanted

    def give_back(self, size_bytes: int) -> None:
        """They are free again."""
        self._free += size_bytes
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            wanted, turn = self._waiting.popleft()
            self._free -= wanted
            turn.set_result(None)
