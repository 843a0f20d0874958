"""The streams of an upload: headers and chunks up, acknowledgements down, bytes counted on the way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import grpc

from visionmesh.calls.connection import Connection
from visionmesh.calls.folder import FolderError, LocalFile
from visionmesh.errors import from_rpc
from visionmesh.v1 import dataset_pb2, dataset_service_pb2_grpc


@dataclass(frozen=True)
class UploadProgress:
    """How far an upload is. Bytes count when they are sent, files when they are stored."""

    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int


OnProgress = Callable[[UploadProgress], None]
"""Called as an upload goes on, from more than one thread but never twice at once."""


class ProgressCounter:
    """Counts files and bytes and tells a callback."""

    def __init__(self, files: Iterable[LocalFile], tell: OnProgress | None) -> None:
        sizes = [file.size_bytes for file in files]
        self._files_total, self._bytes_total = len(sizes), sum(sizes)
        self._files_done = self._bytes_done = 0
        self._tell = tell
        self._lock = threading.Lock()

    def restart(self, stored: Iterable[LocalFile]) -> None:
        """Begin again from what the server has."""
        sizes = [file.size_bytes for file in stored]
        with self._lock:
            self._files_done, self._bytes_done = len(sizes), sum(sizes)
            self._report()

    def add(self, *, files: int = 0, size_bytes: int = 0) -> None:
        """Count files stored and bytes sent."""
        with self._lock:
            self._files_done += files
            self._bytes_done += size_bytes
            self._report()

    def _report(self) -> None:
        if self._tell is not None:
            progress = UploadProgress(self._files_done, self._files_total, self._bytes_done, self._bytes_total)
            self._tell(progress)


class _Sender:
    """Runs as the request iterator of a call, in a thread of grpc; keeps the error that a file gave."""

    def __init__(self, files: Iterable[LocalFile], counter: ProgressCounter) -> None:
        self._files = files
        self._counter = counter
        self.error: Exception | None = None

    def parts(self) -> Iterator[dataset_pb2.FileHeader | bytes]:
        try:
            for file in self._files:
                yield dataset_pb2.FileHeader(path=file.path, size_bytes=file.size_bytes, sha256=file.sha256())
                for chunk in file.chunks():
                    yield chunk
                    self._counter.add(size_bytes=len(chunk))
        except Exception as error:
            self.error = error
            raise


class UploadCalls(Connection):
    """The two ways to upload files."""

    def _send_files(self, dataset_id: str, files: Iterable[LocalFile], counter: ProgressCounter) -> int:
        """Upload into an existing dataset; gives the number of files acknowledged."""
        sender = _Sender(files, counter)

        def requests() -> Iterator[dataset_pb2.UploadFilesRequest]:
            yield dataset_pb2.UploadFilesRequest(dataset_id=dataset_id)
            for part in sender.parts():
                if isinstance(part, bytes):
                    yield dataset_pb2.UploadFilesRequest(chunk=part)
                else:
                    yield dataset_pb2.UploadFilesRequest(header=part)

        stored = 0
        stream = self._datasets.UploadFiles(requests(), metadata=self._metadata)
        try:
            for _ in stream:
                stored += 1
                counter.add(files=1)
        except grpc.RpcError as error:
            # A file that could not be read ends the call too: say that, not how grpc puts it.
            if sender.error is not None:
                raise sender.error from error
            raise from_rpc(error) from error
        finally:
            stream.cancel()
        return stored

    def _send_dataset(
        self, spec: dataset_pb2.DatasetSpec, files: Iterable[LocalFile], counter: ProgressCounter
    ) -> dataset_pb2.Dataset:
        """Create, upload and finalise in one stream."""
        sender = _Sender(files, counter)

        def requests() -> Iterator[dataset_pb2.UploadDatasetRequest]:
            yield dataset_pb2.UploadDatasetRequest(spec=spec)
            for part in sender.parts():
                if isinstance(part, bytes):
                    yield dataset_pb2.UploadDatasetRequest(chunk=part)
                else:
                    yield dataset_pb2.UploadDatasetRequest(header=part)

        call = self._datasets.UploadDataset.future(requests(), metadata=self._metadata)
        try:
            return call.result().dataset
        except grpc.RpcError as error:
            if sender.error is not None:
                raise sender.error from error
            raise from_rpc(error) from error
        finally:
            call.cancel()

    @cached_property
    def _datasets(self) -> dataset_service_pb2_grpc.DatasetServiceStub:
        return dataset_service_pb2_grpc.DatasetServiceStub(self._channel)


def missing_files(
    files: Iterable[LocalFile], stored: Mapping[str, dataset_pb2.DatasetFile]
) -> tuple[list[LocalFile], list[LocalFile]]:
    """Split local files into those still to send and those stored already.

    Raises ``FolderError`` when a stored file differs from the local one: what arrived cannot be replaced.
    """
    to_send, there = [], []
    for file in files:
        known = stored.get(file.path)
        if known is None:
            to_send.append(file)
        elif known.size_bytes != file.size_bytes or known.sha256 != file.sha256():
            raise FolderError(f"{file.path} has changed since it was uploaded; upload the folder as a new dataset")
        else:
            there.append(file)
    return to_send, there
