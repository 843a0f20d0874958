"""One pass over the images of a dataset in worker threads, and the word of how far it has come."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from annotations.problems import WARNING, Problem
from annotations.reading import ImageSize
from gateway.datasets.changes import Changes
from gateway.datasets.files import ReceivedFile
from gateway.datasets.images import Inspector, Picture
from gateway.datasets.waiting import in_thread, run_to_end
from storage.database.datasets import DatasetRepository
from storage.database.engine import Database
from storage.database.errors import DatabaseUnavailable

PROGRESS_SECONDS = 0.25
# A thread takes so many files at a time: a hop to the event loop for each would cost as much as a small image.
MOST_FILES_OF_A_CHUNK = 32
# Small datasets are cut into so many chunks for each thread, so that all threads end at about the same time.
CHUNKS_OF_A_THREAD = 4


class AnalysisStopped(Exception):
    """The analysis is not to go on, since its gateway stops."""


@dataclass
class Inspected:
    """What the images are, by path: usable ones as pictures, the others as problems."""

    pictures: dict[str, Picture] = field(default_factory=dict)
    problems: dict[str, Problem] = field(default_factory=dict)

    def told(self) -> Iterator[Problem]:
        """What is wrong with single images, by path."""
        for path in sorted(self.problems):
            yield self.problems[path]
        for path in sorted(path for path, picture in self.pictures.items() if picture.animated):
            said = "The file holds several frames; the first one is used. Upload frames that are wanted as images."
            yield Problem(path, "animated_image", WARNING, said)


class Progress:
    """Counts analysed files in any thread, and tells the database and watchers of it a few times a second.

    It is also how threads hear that they are to stop: ``check`` raises AnalysisStopped once ``stopping`` is set.
    """

    def __init__(self, database: Database, changes: Changes, dataset_id: str, stopping: threading.Event) -> None:
        self._database = database
        self._changes = changes
        self._dataset_id = dataset_id
        self._lock = threading.Lock()
        self._stopping = stopping
        self._done = 0

    def advance(self) -> None:
        """One more file is done."""
        with self._lock:
            self._done += 1

    def check(self) -> None:
        """Raise AnalysisStopped if the analysis is not to go on."""
        if self._stopping.is_set():
            raise AnalysisStopped

    @asynccontextmanager
    async def told(self) -> AsyncIterator[None]:
        """Tell of the progress during the block."""
        ended = asyncio.Event()
        telling = asyncio.create_task(self._tell(ended))
        try:
            yield
        finally:
            ended.set()
            # What it writes must not come after what is written next.
            await run_to_end(telling)

    async def _tell(self, ended: asyncio.Event) -> None:
        told = 0
        while not ended.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(PROGRESS_SECONDS):
                    await ended.wait()
            done = self._done
            if done == told or ended.is_set():
                continue
            told = done
            # Nothing rests on it, and what is recorded at the end will wait for the database.
            with suppress(DatabaseUnavailable):
                await self._database.write(
                    lambda session, done=done: DatasetRepository(session).change_state(  # type: ignore[misc]
                        self._dataset_id, ("ANALYZING",), "ANALYZING", analyzed_files=done
                    )
                )
            self._changes.notify(self._dataset_id)


async def inspect_images(
    threads: ThreadPoolExecutor,
    workers: int,
    inspector: Inspector,
    images: Sequence[ReceivedFile],
    progress: Progress,
) -> Inspected:
    """Look at every image, ``workers`` at a time. Several datasets may share the threads and take turns.

    Raises StoreUnavailable, AnalysisStopped; only when no thread works on it any more.
    """
    found = Inspected()
    sizes: dict[ImageSize, ImageSize] = {}  # a dataset has few different ones, so they are kept once

    def look(chunk: Sequence[ReceivedFile]) -> None:
        for file in chunk:
            progress.check()
            seen = inspector.inspect(file)
            if isinstance(seen, Picture):
                size = sizes.setdefault(seen.size, seen.size)
                found.pictures[file.path] = Picture(size, seen.shrunken, seen.animated)
            else:
                found.problems[file.path] = seen
            progress.advance()

    length = max(1, min(MOST_FILES_OF_A_CHUNK, len(images) // (workers * CHUNKS_OF_A_THREAD)))
    starts = iter(range(0, len(images), length))  # shared: each worker takes the next chunk

    async def work() -> None:
        for start in starts:
            await in_thread(threads, look, images[start : start + length])

    tasks = [asyncio.create_task(work()) for _ in range(workers)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return found
