"""An upload that goes on after every break: what is stored is passed over, and the rest is sent again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import chain

import grpc

from visionmesh.calls.folder import Folder, FolderError, LocalFile
from visionmesh.calls.following import Backoff, Patience
from visionmesh.calls.uploading import OpenCalls, ProgressCounter
from visionmesh.errors import VisionMeshError
from visionmesh.v1 import dataset_pb2

Send = Callable[[Iterable[LocalFile], Callable[[str], None], OpenCalls], None]
"""Sends files over one stream and tells the path of each that is stored."""

ListStored = Callable[[], Iterable[dataset_pb2.DatasetFile]]

# What a transport says that broke, where it says nothing better.
_BROKEN = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED)
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class UploadRounds:
    """Sends a folder over several streams at once, round after round, until all is stored or patience ends."""

    def __init__(
        self, folder: Folder, send: Send, list_stored: ListStored, counter: ProgressCounter, streams: int
    ) -> None:
        self._files = {file.path: file for file in folder.files}
        self._is_archive = folder.is_archive
        self._send = send
        self._list_stored = list_stored
        self._counter = counter
        self._streams = streams
        self._stored: set[str] = set()
        self._lock = threading.Lock()
        self._broke = False

    def run(self, patience: Patience, *, resume: bool) -> None:
        """Send everything; ``resume`` looks first at what is stored.

        Raises ``FolderError`` when a stored file differs from the local one, ``OSError`` for a file that cannot be
        read, and ``VisionMeshError``: also when nothing got through for as long as patience lasts.
        """
        delays = Backoff(patience)
        most = 0
        look = resume
        while True:
            try:
                if look and not self._is_archive:
                    self._pass_over(self._list_stored())
                self._round()
                return
            except VisionMeshError as error:
                if len(self._stored) > most:
                    most = len(self._stored)
                    delays.heard()
                self._give_up_or_wait(delays, error, patience)
                self._broke = look = True

    def _give_up_or_wait(self, delays: Backoff, error: VisionMeshError, patience: Patience) -> None:
        worthwhile = self._worthwhile(error)
        try:
            delays.wait(error, worthwhile=worthwhile)
        except VisionMeshError:
            if not worthwhile:
                raise
            raise VisionMeshError(
                error.code,
                f"given up after {patience.seconds:g} s in which nothing got through; the last answer was: "
                f"{error.message}",
                reason=error.reason,
                metadata=error.metadata,
                violations=error.violations,
            ) from error

    def _worthwhile(self, error: VisionMeshError) -> bool:
        """Whether the rest may get through in another round."""
        if error.reason == "FILE_EXISTS":
            # The gateway has not noticed yet that a stream that broke has gone. What it holds is known to be ours,
            # unless it is of an archive.
            return self._broke or not self._is_archive
        return error.code in _AWAY or (not error.reason and error.code in _BROKEN)

    def _pass_over(self, stored: Iterable[dataset_pb2.DatasetFile]) -> None:
        for held in stored:
            file = self._files.get(held.path)
            if file is None or held.path in self._stored:
                continue
            if held.size_bytes != file.size_bytes or held.sha256 != file.sha256():
                raise FolderError(f"{file.path} has changed since it was uploaded; upload the folder as a new dataset")
            self._stored.add(held.path)

    def _round(self) -> None:
        if self._is_archive:
            # Sent again as a whole: the gateway passes over what it holds.
            self._counter.restart(0, 0)
            to_send = [*self._files.values()]
        else:
            there = [self._files[path] for path in self._stored]
            self._counter.restart(len(there), sum(file.size_bytes for file in there))
            to_send = [file for path, file in self._files.items() if path not in self._stored]
        supply = _Supply(to_send)
        open_calls = OpenCalls()
        streams = min(self._streams, len(to_send))
        with ThreadPoolExecutor(max(streams, 1), thread_name_prefix="upload") as threads:
            try:
                sending = [threads.submit(self._send_some, supply, open_calls) for _ in range(streams)]
                wait(sending)
            except BaseException:
                supply.stop()
                open_calls.cancel()
                raise
        _raise_worst(sending, self._worthwhile)
        if not self._is_archive and len(self._stored) < len(self._files):
            raise VisionMeshError(
                grpc.StatusCode.DATA_LOSS, "the server ended the upload without acknowledging every file"
            )

    def _send_some(self, supply: _Supply, open_calls: OpenCalls) -> None:
        first = next(supply, None)
        if first is None:
            return
        try:
            self._send(chain([first], supply), self._acknowledged, open_calls)
        except BaseException:
            # The others end with the files they have begun.
            supply.stop()
            raise

    def _acknowledged(self, path: str) -> None:
        with self._lock:
            self._stored.add(path)


class _Supply(Iterator[LocalFile]):
    """Files to send, handed out to whichever stream asks next."""

    def __init__(self, files: Iterable[LocalFile]) -> None:
        self._files = iter(files)
        self._lock = threading.Lock()
        self._stopped = False

    def __next__(self) -> LocalFile:
        with self._lock:
            if self._stopped:
                raise StopIteration
            return next(self._files)

    def stop(self) -> None:
        """Hand out no more."""
        with self._lock:
            self._stopped = True


def _raise_worst(sending: Iterable[Future[None]], worthwhile: Callable[[VisionMeshError], bool]) -> None:
    """Raise what went wrong; first what another round would not mend."""
    errors = [error for future in sending if (error := future.exception()) is not None]
    for error in errors:
        if not (isinstance(error, VisionMeshError) and worthwhile(error)):
            raise error
    if errors:
        raise errors[0]
