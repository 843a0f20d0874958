"""Many files of one stream are on their way at once; what is acknowledged is kept, and nothing else stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path

import pytest

from gateway.datasets.archives.rules import ArchiveLimits
from gateway.datasets.files import FileAnnouncement, Part, ReceivedFile
from gateway.datasets.inventory import Inventory, UploadLimits
from gateway.datasets.memory import MemoryBudget
from gateway.datasets.small_files import SmallFiles
from gateway.datasets.storing import FileStorer
from gateway.datasets.uploads import FILES_IN_FLIGHT, FileReceiver
from rpc.errors import DomainError
from storage.database.errors import FileExists
from storage.objects.digest import sha256_bytes
from storage.objects.local import LocalObjectStore

PATHS = [f"train/cat/{number:03}.png" for number in range(60)]


class Place:
    """A store, an inventory, and the records that ``keep`` makes: all of a group or none."""

    def __init__(self, root: Path, threads: ThreadPoolExecutor) -> None:
        self.store = LocalObjectStore(root)
        self.inventory = Inventory(UploadLimits())
        self.kept: list[str] = []
        self.groups: list[int] = []
        self.recorded_elsewhere: set[str] = set()
        memory = MemoryBudget(1 << 20)
        storer = FileStorer(
            self.store, threads, SmallFiles(self.store, threads), "ds_1", self.inventory, memory, self._recorded
        )
        self.receiver = FileReceiver(storer, memory, ArchiveLimits(), self._keep)

    def objects(self) -> list[str]:
        return [info.key.removeprefix("datasets/ds_1/") for info in self.store.list("datasets/")]

    async def _recorded(self, path: str) -> ReceivedFile | None:
        return None

    async def _keep(self, files: Sequence[ReceivedFile]) -> None:
        await asyncio.sleep(0.001)
        for file in files:
            if file.path in self.recorded_elsewhere:
                raise FileExists(file.path)
        self.kept += [file.path for file in files]
        self.groups.append(len(files))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ThreadPoolExecutor(8) as threads:
        yield Place(tmp_path, threads)


async def stream(paths: Sequence[str], wrong: str = "") -> AsyncIterator[Part]:
    for path in paths:
        content = path.encode()
        yield FileAnnouncement(path, len(content), sha256_bytes(b"other" if path == wrong else content))
        yield content


async def test_files_are_kept_in_groups_and_yielded_in_the_order_of_the_stream(place: Place) -> None:
    got = [file.path async for file in place.receiver.receive(stream(PATHS))]
    assert got == place.kept == place.objects() == PATHS
    assert 1 < max(place.groups) <= FILES_IN_FLIGHT


async def test_what_is_wrong_with_one_comes_after_those_before_it_and_nothing_after_it_stays(place: Place) -> None:
    got: list[str] = []
    with pytest.raises(DomainError) as caught:
        async for file in place.receiver.receive(stream(PATHS, wrong=PATHS[20])):
            got.append(file.path)
    assert (caught.value.reason, caught.value.metadata["path"]) == ("FILE_MISMATCH", PATHS[20])
    assert got == place.kept == place.objects() == PATHS[:20]
    # All other paths are free: the sender goes on with them.
    rest = [file.path async for file in place.receiver.receive(stream(PATHS[20:]))]
    assert rest == PATHS[20:] and place.objects() == PATHS


async def test_a_path_that_another_gateway_recorded_keeps_its_object_and_those_before_it(place: Place) -> None:
    place.recorded_elsewhere.add(PATHS[5])
    got: list[str] = []
    with pytest.raises(FileExists) as caught:
        async for file in place.receiver.receive(stream(PATHS)):
            got.append(file.path)
    assert caught.value.path == PATHS[5]
    assert got == place.kept == PATHS[:5]
    assert place.objects() == PATHS[:6]


async def test_a_receiver_that_is_closed_keeps_what_is_recorded_and_nothing_else(place: Place) -> None:
    async with aclosing(place.receiver.receive(stream(PATHS))) as files:
        async for _ in files:
            break
    assert place.kept == place.objects()


async def test_a_call_cancelled_at_any_moment_leaves_records_and_objects_alike(place: Place) -> None:
    async def receive(paths: Sequence[str]) -> None:
        async with aclosing(place.receiver.receive(stream(paths))) as files:
            async for _ in files:
                await asyncio.sleep(0)

    left = PATHS
    for milliseconds in range(1, 40, 3):
        task = asyncio.create_task(receive(left))
        await asyncio.sleep(milliseconds / 1000)
        task.cancel()
        await asyncio.wait({task})
        assert sorted(place.kept) == place.objects()
        left = [path for path in PATHS if path not in place.kept]
    await receive(left)
    assert sorted(place.kept) == place.objects() == PATHS
