"""Claims: which of the gateways over one database works on what, so that no two do the same.

A claim is a session-level advisory lock of PostgreSQL, all of a gateway's on one connection. However the gateway ends,
the server gives them back when that connection ends. A connection that breaks is made anew and its claims are taken
again; meanwhile another gateway may have taken one, so what a claim guards must be wasteful, not wrong, when it is done
twice.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Protocol, TypeVar

import structlog
from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import SQLAlchemyError

from storage.database.connections import is_sqlite, lone_connections
from storage.database.errors import DatabaseUnavailable

T = TypeVar("T")
log = structlog.get_logger(__name__)

KEEP_SECONDS = 5.0


class Claims(Protocol):
    """The claims of one gateway. What it holds already it may take again: it then gives it back as often."""

    async def take(self, name: str) -> bool:
        """Whether ``name`` is this gateway's now; False when another gateway has it. Raises DatabaseUnavailable."""
        ...

    async def give_back(self, name: str) -> None:
        """Let others have it."""
        ...

    async def close(self) -> None:
        """Give everything back. Can be called twice."""
        ...


@asynccontextmanager
async def claimed(claims: Claims, name: str) -> AsyncIterator[bool]:
    """Hold a claim for the length of the block, where it can be had: the block is told. Raises DatabaseUnavailable."""
    taken = await claims.take(name)
    try:
        yield taken
    finally:
        if taken:
            await claims.give_back(name)


def open_claims(url: URL) -> Claims:
    """Claims on a database; nothing is connected yet."""
    return LoneClaims() if is_sqlite(url) else SharedClaims(url)


class LoneClaims:
    """Of the one gateway that a SQLite file has."""

    async def take(self, name: str) -> bool:
        return True

    async def give_back(self, name: str) -> None:
        return None

    async def close(self) -> None:
        return None


class SharedClaims:
    """Of one of the gateways over a PostgreSQL database. For one event loop."""

    def __init__(self, url: URL, *, keep_seconds: float = KEEP_SECONDS) -> None:
        """``keep_seconds``: how often the connection is looked at, and made anew where it broke."""
        self._where = url.render_as_string(hide_password=True)
        self._keep_seconds = keep_seconds
        self._engine = lone_connections(url)
        self._connection: Connection | None = None
        self._held: Counter[str] = Counter()
        # One statement at a time, and never on the event loop.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="claims")
        self._keeper: asyncio.Task[None] | None = None

    async def take(self, name: str) -> bool:
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())
        taking = self._thread.submit(self._take, name)
        try:
            return await asyncio.wrap_future(taking)
        except asyncio.CancelledError:
            # A caller that leaves must not leave behind a claim that nobody knows of.
            self._thread.submit(self._undo, name, taking)
            raise

    async def give_back(self, name: str) -> None:
        try:
            await self._run(lambda: self._give_back(name))
        except DatabaseUnavailable:
            return  # it went with the connection

    async def close(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        await asyncio.to_thread(self._shut_down)

    async def _run(self, work: Callable[[], T]) -> T:
        # Shielded: it is done also when the caller leaves.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._keep_seconds)
            try:
                await self._run(self._look)
            except DatabaseUnavailable as error:
                log.warning("claims cannot be kept now", error=str(error))

    def _look(self) -> None:
        """Make sure that there is a connection which works, with everything that is held."""
        if self._connection is not None:
            try:
                self._connection.execute(text("SELECT 1"))
                return
            except SQLAlchemyError as error:
                log.warning("the connection of the claims broke", database=self._where, error=str(error))
                self._disconnect()
        self._connected()

    def _take(self, name: str) -> bool:
        if not self._held[name]:
            was_connected = self._connection is not None
            try:
                locked = self._lock(self._connected(), name)
            except DatabaseUnavailable:
                if not was_connected:
                    raise
                locked = self._lock(self._connected(), name)  # it had broken while nobody used it
            if not locked:
                return False
        self._held[name] += 1
        return True

    def _undo(self, name: str, taking: Future[bool]) -> None:
        with suppress(CancelledError, DatabaseUnavailable):
            if taking.result():
                self._give_back(name)

    def _give_back(self, name: str) -> None:
        self._held[name] -= 1
        if self._held[name] > 0:
            return
        del self._held[name]
        if self._connection is not None:
            self._scalar(self._connection, "SELECT pg_advisory_unlock(:key)", name)

    def _connected(self) -> Connection:
        if self._connection is not None:
            return self._connection
        try:
            connection = self._engine.connect()
        except SQLAlchemyError as error:
            raise self._unavailable(error) from error
        self._connection = connection
        for name in self._held:
            if not self._lock(connection, name):
                log.warning("a claim was taken over by another gateway", claim=name)
        return connection

    def _lock(self, connection: Connection, name: str) -> bool:
        return self._scalar(connection, "SELECT pg_try_advisory_lock(:key)", name)

    def _scalar(self, connection: Connection, statement: str, name: str) -> bool:
        try:
            return bool(connection.scalar(text(statement), {"key": claim_key(name)}))
        except SQLAlchemyError as error:
            self._disconnect()
            raise self._unavailable(error) from error

    def _unavailable(self, error: SQLAlchemyError) -> DatabaseUnavailable:
        return DatabaseUnavailable(f"{self._where} cannot be used: {getattr(error, 'orig', error)}")

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def _shut_down(self) -> None:
        self._thread.shutdown()
        self._held.clear()
        if self._connection is not None:
            # The server gives them back with the connection too, but only when it notices that this was closed.
            with suppress(SQLAlchemyError):
                self._connection.execute(text("SELECT pg_advisory_unlock_all()"))
        self._disconnect()
        self._engine.dispose()


def claim_key(name: str) -> int:
    """The 64-bit number that stands for a name among the advisory locks of a database."""
    return int.from_bytes(hashlib.sha256(f"visionmesh {name}".encode()).digest()[:8], signed=True)
