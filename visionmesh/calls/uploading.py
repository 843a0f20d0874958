"""The streams of an upload: headers and chunks up, acknowledgements down, bytes counted on the way."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import grpc

from visionmesh.calls.connection import Connection
from visionmesh.calls.folder import LocalFile
from visionmesh.errors import from_rpc
from visionmesh.v1 import dataset_pb2, dataset_service_pb2_grpc

CHUNK_BYTES = 1 << 20
# Smaller files are read once, for their digest and for sending.
READ_ONCE_BYTES = 8 << 20


@dataclass(frozen=True)
class UploadProgress:
    """How far an upload is. Bytes count when they are sent, files when they are stored.

    After a break, bytes that were sent and not stored count no more, and ``resumes`` is one higher. How many files an
    archive holds is not known: ``files_total`` is 0 then.
    """

    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int
    resumes: int = 0


OnProgress = Callable[[UploadProgress], None]
"""Called as an upload goes on, from more than one thread but never twice at once."""


class ProgressCounter:
    """Counts files and bytes and tells a callback."""

    def __init__(self, files: Iterable[LocalFile], tell: OnProgress | None) -> None:
        counted = list(files)
        self._files_total = sum(not file.unpack for file in counted)
        self._bytes_total = sum(file.size_bytes for file in counted)
        self._files_done = self._bytes_done = 0
        self._resumes = -1
        self._tell = tell
        self._lock = threading.Lock()

    def restart(self, files: int, size_bytes: int) -> None:
        """Begin, also again, from what the server has."""
        with self._lock:
            self._files_done, self._bytes_done = files, size_bytes
            self._resumes += 1
            self._report()

    def add(self, *, files: int = 0, size_bytes: int = 0) -> None:
        """Count files stored and bytes sent."""
        with self._lock:
            self._files_done += files
            self._bytes_done += size_bytes
            self._report()

    def _report(self) -> None:
        if self._tell is not None:
            self._tell(
                UploadProgress(
                    self._files_done, self._files_total, self._bytes_done, self._bytes_total, max(self._resumes, 0)
                )
            )


class _Sender:
    """Runs as the request iterator of a call, in a thread of grpc; keeps the error that a file gave."""

    def __init__(self, files: Iterable[LocalFile], counter: ProgressCounter) -> None:
        self._files = files
        self._counter = counter
        self.error: Exception | None = None

    def parts(self) -> Iterator[dataset_pb2.FileHeader | bytes]:
        try:
            for file in self._files:
                digest, chunks = _opened(file)
                yield dataset_pb2.FileHeader(
                    path=file.path, size_bytes=file.size_bytes, sha256=digest, unpack=file.unpack
                )
                for chunk in chunks:
                    yield chunk
                    self._counter.add(size_bytes=len(chunk))
        except Exception as error:
            self.error = error
            raise


def _opened(file: LocalFile) -> tuple[str, Iterable[bytes]]:
    """The digest and the chunks of a file."""
    if file.size_bytes > READ_ONCE_BYTES:
        return file.sha256(), file.chunks()
    data = file.source.read_bytes()
    chunks = (data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES))
    return hashlib.sha256(data).hexdigest(), chunks


class OpenCalls:
    """The calls of an upload that are under way, so that another thread can end them."""

    def __init__(self) -> None:
        self._calls: set[grpc.Call] = set()
        self._lock = threading.Lock()
        self._cancelled = False

    def add(self, call: grpc.Call) -> None:
        with self._lock:
            self._calls.add(call)
            cancelled = self._cancelled
        if cancelled:
            call.cancel()

    def remove(self, call: grpc.Call) -> None:
        with self._lock:
            self._calls.discard(call)

    def cancel(self) -> None:
        """End them all, and those that are added later."""
        with self._lock:
            self._cancelled = True
            calls = [*self._calls]
        for call in calls:
            call.cancel()


class UploadCalls(Connection):
    """The two ways to upload files."""

    def _send_files(
        self,
        dataset_id: str,
        files: Iterable[LocalFile],
        counter: ProgressCounter,
        stored: Callable[[str], None],
        open_calls: OpenCalls,
    ) -> None:
        """Upload into an existing dataset over one stream; ``stored`` is told the path of each file acknowledged."""
        sender = _Sender(files, counter)

        def requests() -> Iterator[dataset_pb2.UploadFilesRequest]:
            yield dataset_pb2.UploadFilesRequest(dataset_id=dataset_id)
            for part in sender.parts():
                if isinstance(part, bytes):
                    yield dataset_pb2.UploadFilesRequest(chunk=part)
                else:
                    yield dataset_pb2.UploadFilesRequest(header=part)

        stream = self._datasets.UploadFiles(requests(), metadata=self._metadata)
        open_calls.add(stream)
        try:
            for answer in stream:
                counter.add(files=1)
                stored(answer.file.path)
        except grpc.RpcError as error:
            # A file that could not be read ends the call too: say that, not how grpc puts it.
            if sender.error is not None:
                raise sender.error from error
            raise from_rpc(error) from error
        finally:
            stream.cancel()
            open_calls.remove(stream)

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
