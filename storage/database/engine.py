"""``Database``: runs transactions in threads, so that no SQL ever runs on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from storage.database.claims import open_claims
from storage.database.connections import (
    is_outage,
    is_sqlite,
    parse_url,
    postgresql_engine,
    sqlite_readers,
    sqlite_writer,
)
from storage.database.errors import DatabaseUnavailable
from storage.database.gateway_lock import GatewayLock
from storage.database.notices import open_notices

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Database:
    """One database, used from one event loop.

    Rows that ``work`` returns are detached and stay readable. SQLite gets one writing thread and ``pool_size`` reading
    ones; PostgreSQL gets ``pool_size`` threads and connections for both.

    A SQLite file has one gateway. Those over one PostgreSQL database share work by ``claims`` and wake each other by
    ``notices``.
    """

    def __init__(self, url: str, *, pool_size: int = 5, statement_timeout_seconds: float = 30.0) -> None:
        """``statement_timeout_seconds`` is for PostgreSQL.

        Raises DatabaseUnavailable when ``url`` is not usable; nothing is connected yet.
        """
        self._url = parse_url(url)
        self._lock = GatewayLock(self._url) if is_sqlite(self._url) else None
        self.claims = open_claims(self._url)
        self.notices = open_notices(self._url)
        self._reads = ThreadPoolExecutor(pool_size, thread_name_prefix="database")
        if is_sqlite(self._url):
            self._reader = sqlite_readers(self._url, pool_size)
            self._writer = sqlite_writer(self._url)
            self._writes = ThreadPoolExecutor(1, thread_name_prefix="database-writer")
        else:
            self._writer = postgresql_engine(self._url, pool_size, statement_timeout_seconds)
            self._reader = self._writer.execution_options(postgresql_readonly=True)
            self._writes = self._reads

    @property
    def is_shared(self) -> bool:
        """Whether other gateways may work on the database too."""
        return self._lock is None

    def acquire_lock(self) -> None:
        """Keeps other gateways off a SQLite file until ``close``; PostgreSQL may have several.

        Raises DatabaseLocked when another one holds the lock, DatabaseUnavailable.
        """
        if self._lock is not None:
            self._lock.acquire()

    async def read(self, work: Callable[[Session], T]) -> T:
        """Runs ``work`` in a transaction that cannot write. When the caller is cancelled, the result is dropped.

        Raises DatabaseUnavailable.
        """
        return await asyncio.get_running_loop().run_in_executor(self._reads, _read, self._reader, work)

    async def write(self, work: Callable[[Session], T]) -> T:
        """Runs ``work`` in one transaction and commits; whatever ``work`` raises rolls back and is raised here.

        Raises DatabaseUnavailable when the database is lost meanwhile; was it lost at the commit itself, the write may
        have been made all the same. A write finishes even when the caller is cancelled meanwhile.
        """
        transaction = asyncio.get_running_loop().run_in_executor(self._writes, _write, self._writer, work)
        try:
            return await asyncio.shield(transaction)
        except asyncio.CancelledError:
            transaction.add_done_callback(_report_abandoned)
            raise

    async def close(self) -> None:
        """Waits for what is under way, closes the connections and gives the lock back. Can be called twice."""
        await self.notices.close()
        await self.claims.close()
        await asyncio.to_thread(self._shut_down)

    def _shut_down(self) -> None:
        self._writes.shutdown()
        self._reads.shutdown()
        self._reader.dispose()
        self._writer.dispose()
        if self._lock is not None:
            self._lock.release()


def _read(engine: Engine, work: Callable[[Session], T]) -> T:
    # Closing the session detaches the rows before it rolls back; a plain rollback would expire them.
    with _outages(engine), Session(engine, expire_on_commit=False) as session:
        _begin(session)
        return work(session)


def _write(engine: Engine, work: Callable[[Session], T]) -> T:
    with _outages(engine), Session(engine, expire_on_commit=False) as session:
        _begin(session)
        result = work(session)
        session.commit()
        return result


@contextmanager
def _outages(engine: Engine) -> Iterator[None]:
    """Raise DatabaseUnavailable in place of what a driver says when its database is lost."""
    try:
        yield
    except SQLAlchemyError as error:
        if not is_outage(error):
            raise
        where = engine.url.render_as_string(hide_password=True)
        raise DatabaseUnavailable(f"{where} cannot be used: {getattr(error, 'orig', error)}") from error


def _begin(session: Session) -> None:
    try:
        session.connection()
    except DBAPIError as error:
        where = session.get_bind().engine.url.render_as_string(hide_password=True)
        raise DatabaseUnavailable(f"cannot open {where}: {error.orig}") from error


def _report_abandoned(transaction: asyncio.Future[T]) -> None:
    """Nobody awaits this write any more, so its failure is told to the log."""
    error = transaction.exception() if not transaction.cancelled() else None
    if error is not None:
        log.error("write failed after its caller was cancelled", exc_info=error)
