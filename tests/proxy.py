"""A TCP proxy that does to connections what networks do: cuts them, and lets bytes through no faster than so."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

_READ_BYTES = 64 << 10


class Proxy:
    """Relays connections to a port of this machine, for the length of the block.

    ``bytes_per_second`` limits what clients send, all of them together; ``cut_after`` cuts every connection each time
    so many more bytes were sent, ``cuts`` times. ``away()`` cuts all of them and takes no new one until ``back()``.
    """

    def __init__(self, target: int, *, bytes_per_second: float = 0.0, cut_after: int = 0, cuts: int = 0) -> None:
        self.target = target
        self.cuts_left = cuts
        self._bytes_per_second = bytes_per_second
        self._cut_after = cut_after
        self._passed = 0
        self._free_at = time.monotonic()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._silent: set[socket.socket] = set()
        self._away = False
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listening.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.close()
        self.cut()

    def cut(self) -> None:
        """End every connection there is, in the middle of whatever it carries."""
        with self._lock:
            connections, self._open = self._open, set()
        for connection in connections:
            with suppress(OSError):  # it may have ended by itself
                connection.shutdown(socket.SHUT_RDWR)

    def silence(self) -> None:
        """Let nothing through any more of the connections there are, and tell nobody: as a machine that vanished."""
        with self._lock:
            self._silent |= self._open

    def away(self) -> None:
        """Let nobody through, from now on."""
        self._away = True
        self.cut()

    def back(self) -> None:
        """Let everybody through again."""
        self._away = False

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
                if self._away:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self.target))
            except ConnectionRefusedError:
                client.close()
                continue
            except OSError:
                return
            with self._lock:
                self._open |= {client, server}
            if self._away:  # it went in between
                self.cut()
            threading.Thread(target=self._relay, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._relay, args=(server, client, False), daemon=True).start()

    def _relay(self, source: socket.socket, target: socket.socket, sent_by_client: bool) -> None:
        try:
            while data := source.recv(_READ_BYTES):
                if source in self._silent:
                    continue
                if sent_by_client:
                    self._slow_down(len(data))
                target.sendall(data)
                if sent_by_client:
                    self._count(len(data))
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        finally:
            source.close()

    def _slow_down(self, size: int) -> None:
        if not self._bytes_per_second:
            return
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic()) + size / self._bytes_per_second
            wait = self._free_at - time.monotonic()
        time.sleep(max(wait, 0))

    def _count(self, size: int) -> None:
        with self._lock:
            self._passed += size
            due = self._cut_after and self.cuts_left and self._passed >= self._cut_after
            if due:
                self._passed = 0
                self.cuts_left -= 1
        if due:
            self.cut()
