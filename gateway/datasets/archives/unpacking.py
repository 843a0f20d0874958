"""Puts the files of an archive into its place in an upload stream."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from gateway.datasets.announced import Arrival, checked
from gateway.datasets.archives.own_thread import OwnThread
from gateway.datasets.archives.reading import ENDINGS, files_of, is_archive
from gateway.datasets.archives.rules import ArchiveError, ArchiveLimits
from gateway.datasets.errors import bad_archive, file_mismatch
from gateway.datasets.files import FileAnnouncement, Part
from rpc.errors import invalid_request
from visionmesh.errors import Violation


async def unpacked(parts: AsyncIterator[Part], limits: ArchiveLimits) -> AsyncGenerator[Part, None]:
    """The same stream with files only: those of an archive that is to be unpacked come in its place, as it arrives.

    Raises INVALID_REQUEST, FILE_MISMATCH and BAD_ARCHIVE, after the files that were whole before.
    """
    async for part in parts:
        if isinstance(part, FileAnnouncement) and part.unpack:
            async with aclosing(_files(_checked(part), parts, limits)) as files:
                async for file in files:
                    yield file
        else:
            yield part


async def _files(
    archive: FileAnnouncement, parts: AsyncIterator[Part], limits: ArchiveLimits
) -> AsyncGenerator[Part, None]:
    arrival = Arrival(archive, "the files that were whole before it were kept")
    digest = hashlib.sha256()

    async def chunks() -> AsyncGenerator[bytes, None]:
        while not arrival.complete:
            part = await anext(parts, None)
            if part is None:
                raise arrival.cut_short("the stream ended in the middle of the file")
            if not isinstance(part, bytes):
                raise arrival.cut_short("the next file began before this one was complete")
            arrival.count(part)
            if archive.sha256:
                digest.update(part)
            yield part

    source = chunks()
    unpacking = OwnThread(lambda arriving: files_of(archive.path, arriving, limits), source)
    try:
        async with aclosing(unpacking.results()) as files:
            async for file in files:
                yield file
    except ArchiveError as error:
        raise bad_archive(archive.path, error.why, entry=error.entry, limit=error.limit) from error
    async for _ in source:
        pass
    if archive.sha256 and digest.hexdigest() != archive.sha256:
        story = "its bytes are not those announced; the files in it were kept"
        raise file_mismatch(archive.path, "sha256", archive.sha256, digest.hexdigest(), story)


def _checked(announced: FileAnnouncement) -> FileAnnouncement:
    if not is_archive(announced.path):
        wrong = f"{announced.path!r} is to be unpacked, but its name ends in none of {', '.join(ENDINGS)}"
        raise invalid_request([Violation("header.path", wrong)])
    return checked(announced)
