"""From the messages of an upload stream to whole files in the object store."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import aclosing

from gateway.datasets.archives.rules import ArchiveLimits
from gateway.datasets.archives.unpacking import unpacked
from gateway.datasets.errors import file_mismatch
from gateway.datasets.files import END_OF_FILE, FileAnnouncement, Part, ReceivedFile
from gateway.datasets.incoming import Incoming
from gateway.datasets.memory import MemoryBudget
from gateway.datasets.storing import FileStorer, StoredFile
from gateway.datasets.waiting import run_to_end
from rpc.errors import invalid_request
from storage.database.errors import FileExists
from visionmesh.errors import Violation

# Files of one stream that may be on their way from memory to the disk: a sync takes longer than a small file.
FILES_IN_FLIGHT = 16

Storing = asyncio.Task[StoredFile]


class FileReceiver:
    """Puts the files of one stream together, one after the other, and stores several at once.

    Chunks of a large file are on their way to the disk before the next is asked for, and only so many files wait to
    be stored, so a slow disk slows the sender down. ``keep`` makes stored files part of their dataset, all or none;
    the objects of files that were not kept go again.
    """

    def __init__(
        self,
        storer: FileStorer,
        memory: MemoryBudget,
        archive_limits: ArchiveLimits,
        keep: Callable[[Sequence[ReceivedFile]], Awaitable[None]],
    ) -> None:
        self._storer = storer
        self._memory = memory
        self._archive_limits = archive_limits
        self._keep = keep
        self._on_its_way: dict[str, Storing] = {}

    async def receive(self, parts: AsyncIterator[Part]) -> AsyncGenerator[ReceivedFile, None]:
        """Yield each file when it is stored and kept, in the order of the stream; one that is not whole leaves nothing.

        What is wrong with a file is raised after all files before it are kept, and nothing that follows it is.
        Raises INVALID_REQUEST, FILE_EXISTS, FILE_MISMATCH and what ``keep`` raises.
        """
        slots = asyncio.Semaphore(FILES_IN_FLIGHT)
        # None: the stream has ended, for better or worse.
        queue: asyncio.Queue[Storing | None] = asyncio.Queue()
        reader = asyncio.create_task(self._read(parts, slots, queue))
        unkept: deque[Storing] = deque()
        try:
            ended = False
            while not ended:
                arrived = [await queue.get(), *_rest(queue)]
                ended = arrived[-1] is None
                unkept.extend(task for task in arrived if task is not None)
                stored, wrong = await _in_order(unkept)
                # One transaction for all that wait: with many small files it is what takes the time.
                async with aclosing(self._keep_all(stored, unkept)) as groups:
                    async for group in groups:
                        for file in group:
                            slots.release()
                            yield file
                if wrong is not None:
                    raise wrong
            await reader
        finally:
            reader.cancel()
            await run_to_end(self._drop_unkept(reader, queue, unkept))

    async def _read(
        self, parts: AsyncIterator[Part], slots: asyncio.Semaphore, queue: asyncio.Queue[Storing | None]
    ) -> None:
        """Put the storing of each file into ``queue`` when its last byte is there, and None at the end."""
        current: Incoming | None = None
        last: FileAnnouncement | None = None
        try:
            async with aclosing(unpacked(parts, self._archive_limits)) as files:
                async for part in files:
                    if isinstance(part, FileAnnouncement):
                        if current is not None:
                            raise current.cut_short("the next file began before this one was complete")
                        current, last = self._storer.begin(part, self._sent_before), part
                    elif isinstance(part, bytes):
                        if current is not None:
                            self._storer.grow(current, len(part))
                            await current.take(part)
                        elif part:
                            raise _stray_chunk(last, part)
                    if current is not None and last is not None and _is_whole(current, last, part):
                        await slots.acquire()
                        self._start_storing(current, await self._memory.take(current.held_bytes), queue)
                        current = None
            if current is not None:
                raise current.cut_short("the stream ended in the middle of the file")
        finally:
            if current is not None:
                await run_to_end(self._storer.drop(current))
            queue.put_nowait(None)

    def _start_storing(self, incoming: Incoming, size_bytes: int, queue: asyncio.Queue[Storing | None]) -> None:
        storing = asyncio.create_task(self._storer.store_whole(incoming, size_bytes))
        self._on_its_way.setdefault(incoming.path, storing)
        queue.put_nowait(storing)

    def _sent_before(self, path: str) -> Awaitable[ReceivedFile] | None:
        storing = self._on_its_way.get(path)
        if storing is None:
            return None

        async def file() -> ReceivedFile:
            # Not with that storing when this wait is cancelled.
            return (await asyncio.shield(storing)).file

        return file()

    async def _keep_all(
        self, files: Sequence[StoredFile], unkept: deque[Storing]
    ) -> AsyncGenerator[Sequence[ReceivedFile], None]:
        """Keep the files and yield them: all at once, or one by one where one of them turns out to be there already."""
        groups = deque([files] if files else [])
        while groups:
            group = groups.popleft()
            try:
                await run_to_end(self._keep_group(group, unkept))
            except FileExists:
                if len(group) == 1:
                    raise
                groups.extend([file] for file in group)
            else:
                yield [stored.file for stored in group]

    async def _keep_group(self, group: Sequence[StoredFile], unkept: deque[Storing]) -> None:
        new = [stored.file for stored in group if not stored.repeated]
        try:
            if new:
                await self._keep(new)
        except FileExists:
            if len(group) == 1:
                # Another gateway recorded the path meanwhile: the object is its record's.
                unkept.popleft()
                self._storer.release(group[0])
            raise
        for stored in group:
            storing = unkept.popleft()
            if self._on_its_way.get(stored.file.path) is storing:
                del self._on_its_way[stored.file.path]

    async def _drop_unkept(
        self, reader: asyncio.Task[None], queue: asyncio.Queue[Storing | None], unkept: Iterable[Storing]
    ) -> None:
        """Remove the objects that no record names, when the reader, which has been told to end, has ended."""
        await asyncio.gather(reader, return_exceptions=True)
        for storing in (*unkept, *_rest(queue)):
            if storing is not None:
                await self._forget(storing)

    async def _forget(self, storing: Storing) -> None:
        [outcome] = await asyncio.gather(storing, return_exceptions=True)
        if isinstance(outcome, StoredFile):
            await self._storer.forget(outcome)


def _rest(queue: asyncio.Queue[Storing | None]) -> list[Storing | None]:
    """All that lies in the queue now."""
    return [queue.get_nowait() for _ in range(queue.qsize())]


async def _in_order(tasks: Collection[Storing]) -> tuple[list[StoredFile], BaseException | None]:
    """The files stored up to the first that could not be, and why it could not."""
    stored: list[StoredFile] = []
    if tasks:
        # Unlike gather, it leaves the tasks alone when this call is cancelled.
        await asyncio.wait(tasks)
    for task in tasks:
        if (wrong := task.exception()) is not None:
            return stored, wrong
        stored.append(task.result())
    return stored, None


def _is_whole(incoming: Incoming, announced: FileAnnouncement, part: Part) -> bool:
    """Whether the file is all there with this part: what an archive holds says where it ends."""
    return part is END_OF_FILE if announced.archive else incoming.complete


def _stray_chunk(last: FileAnnouncement | None, chunk: bytes) -> Exception:
    """Bytes that belong to no file: too many for the last one, or sent before the first header."""
    if last is None:
        return invalid_request([Violation("chunk", "came before any header; send the file's header first")])
    expected, received = str(last.size_bytes), str(last.size_bytes + len(chunk))
    story = "more bytes came after it was complete; it stays as it was acknowledged"
    return file_mismatch(last.path, "size_bytes", expected, received, story)
