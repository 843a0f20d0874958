"""Notices: by which the gateways over one PostgreSQL database wake each other, with LISTEN and NOTIFY.

A notice says only that something changed; who hears it reads the database. One may be lost: whoever relies on notices
looks by himself after every time in which he was not ``listening``, and now and then in any case.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import psycopg2
import structlog
from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import SQLAlchemyError

from storage.database.connections import is_sqlite, lone_connections

log = structlog.get_logger(__name__)

CHANNEL = "visionmesh"
_NOTIFY = text("SELECT pg_notify(:channel, :payload)")
# PostgreSQL takes payloads of less than 8000 bytes.
PAYLOAD_BYTES = 7900
RETRY_SECONDS = 1.0
# A gateway hears its own pings too: a connection that broke without a word is noticed.
PING = "ping"
PING_SECONDS = 2.0
SILENCE_SECONDS = 6.0


class Notices(Protocol):
    """What this gateway tells the others, and hears from them. All calls and callbacks are of one event loop."""

    @property
    def listening(self) -> bool:
        """Whether nothing that others say is missed now."""
        ...

    def post(self, topic: str, key: str) -> None:
        """Tell the other gateways, soon; the same one twice is told once. Does not wait."""
        ...

    def subscribe(self, topic: str, hear: Callable[[str], None]) -> None:
        """Call ``hear`` with the key of every notice of others under ``topic``."""
        ...

    def on_change(self, changed: Callable[[bool], None]) -> None:
        """Call ``changed`` whenever listening begins or ends."""
        ...

    def start(self) -> None:
        """Begin to listen, and to tell what was posted."""
        ...

    async def close(self) -> None:
        """Neither listen nor tell any more. Can be called twice."""
        ...


def open_notices(url: URL) -> Notices:
    """The notices of a database; nothing is connected yet."""
    return NoNotices() if is_sqlite(url) else PostgreSQLNotices(url)


class NoNotices:
    """Of the one gateway that a SQLite file has: there is nobody to tell, and nothing to miss."""

    listening = True

    def post(self, topic: str, key: str) -> None:
        return None

    def subscribe(self, topic: str, hear: Callable[[str], None]) -> None:
        return None

    def on_change(self, changed: Callable[[bool], None]) -> None:
        return None

    def start(self) -> None:
        return None

    async def close(self) -> None:
        return None


class PostgreSQLNotices:
    """Told on one connection, after the commits they speak of (inside, they would serialise all commits of the server),
    and all that gathered meanwhile together; heard on another, which the event loop reads."""

    def __init__(self, url: URL) -> None:
        self._where = url.render_as_string(hide_password=True)
        self._engine = lone_connections(url)
        self._origin = uuid.uuid4().hex
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="notices")
        self._pending: dict[tuple[str, str], None] = {}
        self._posted = asyncio.Event()
        self._teller: Connection | None = None
        self._subscribers: dict[str, list[Callable[[str], None]]] = {}
        self._changed: list[Callable[[bool], None]] = []
        self._listening = False
        self._heard_seconds = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def listening(self) -> bool:
        return self._listening

    def post(self, topic: str, key: str) -> None:
        self._pending[topic, key] = None
        self._posted.set()

    def subscribe(self, topic: str, hear: Callable[[str], None]) -> None:
        self._subscribers.setdefault(topic, []).append(hear)

    def on_change(self, changed: Callable[[bool], None]) -> None:
        self._changed.append(changed)

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._tell()), asyncio.create_task(self._listen())]

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._shut_down)

    async def _tell(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._posted.wait()
            self._posted.clear()
            taken, self._pending = self._pending, {}
            try:
                await loop.run_in_executor(self._threads, self._notify, [*payloads(self._origin, taken)])
            except SQLAlchemyError as error:
                log.warning("other gateways cannot be told now", database=self._where, error=str(error))
                self._pending = taken | self._pending
                await asyncio.sleep(RETRY_SECONDS)
                self._posted.set()

    def _notify(self, told: Sequence[str]) -> None:
        was_connected = self._teller is not None
        try:
            self._say_all(told)
        except SQLAlchemyError:
            if not was_connected:
                raise
            self._say_all(told)  # the connection had broken while nothing was told; what comes twice does no harm

    def _say_all(self, told: Sequence[str]) -> None:
        try:
            if self._teller is None:
                self._teller = self._engine.connect()
            for payload in told:
                self._teller.execute(_NOTIFY, {"channel": CHANNEL, "payload": payload})
        except SQLAlchemyError:
            self._drop_teller()
            raise

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection = await loop.run_in_executor(self._threads, self._open)
            except (SQLAlchemyError, psycopg2.Error) as error:
                log.warning("other gateways cannot be heard now", database=self._where, error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
                continue
            try:
                await self._follow(connection)
            finally:
                self._say(False)
                connection.close()
            log.warning("the connection that listens broke; it is made anew", database=self._where)

    def _open(self) -> Any:
        """A connection that listens, of the driver itself."""
        pooled = self._engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
        except BaseException:
            connection.close()
            raise
        return connection

    async def _follow(self, connection: Any) -> None:
        """Hear what comes until the connection breaks or falls silent."""
        loop = asyncio.get_running_loop()
        broken = asyncio.Event()
        self._heard_seconds = loop.time()
        descriptor: int = connection.fileno()
        loop.add_reader(descriptor, self._read, connection, descriptor, broken)
        try:
            self._say(True)
            self._read(connection, descriptor, broken)  # what came together with the answer to LISTEN
            while loop.time() - self._heard_seconds < SILENCE_SECONDS:
                self.post(PING, self._origin)
                try:
                    async with asyncio.timeout(PING_SECONDS):
                        await broken.wait()
                    return
                except TimeoutError:
                    continue  # time for the next ping
        finally:
            loop.remove_reader(descriptor)

    def _read(self, connection: Any, descriptor: int, broken: asyncio.Event) -> None:
        try:
            connection.poll()
        except psycopg2.Error:
            # A descriptor that has ended is readable for ever.
            asyncio.get_running_loop().remove_reader(descriptor)
            broken.set()
        while connection.notifies:
            self._hear(connection.notifies.pop(0).payload)

    def _hear(self, payload: str) -> None:
        origin, *lines = payload.split("\n")
        if origin == self._origin:
            self._heard_seconds = asyncio.get_running_loop().time()
            return
        for line in lines:
            topic, _, key = line.partition(" ")
            for hear in self._subscribers.get(topic, ()):
                hear(key)

    def _say(self, listening: bool) -> None:
        if listening != self._listening:
            self._listening = listening
            for changed in self._changed:
                changed(listening)

    def _drop_teller(self) -> None:
        teller, self._teller = self._teller, None
        if teller is not None:
            teller.invalidate()
            teller.close()

    def _shut_down(self) -> None:
        self._threads.shutdown()
        self._drop_teller()
        self._engine.dispose()


def payloads(origin: str, notices: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The fewest payloads that hold them all: the origin, then a line for each."""
    lines, size = [origin], len(origin)
    for topic, key in notices:
        line = f"{topic} {key}"
        length = len(line.encode()) + 1
        if size + length > PAYLOAD_BYTES:
            yield "\n".join(lines)
            lines, size = [origin], len(origin)
        lines.append(line)
        size += length
    yield "\n".join(lines)
