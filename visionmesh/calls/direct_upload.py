"""Uploads past the gateway: it hands out URLs, and the files go straight to the object store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

import grpc

from visionmesh.calls.folder import LocalFile
from visionmesh.calls.following import Backoff, Patience
from visionmesh.calls.puts import PutFailed, Putter
from visionmesh.calls.uploading import ProgressCounter, UploadCalls
from visionmesh.errors import VisionMeshError
from visionmesh.v1 import dataset_pb2

CONNECTIONS = 8
# Files for which URLs are asked at once: few enough that none ends before its turn has come.
PREPARED_AT_ONCE = 200


class DirectUploadCalls(UploadCalls):
    """Uploads by presigned URLs."""

    def prepare_uploads(
        self, dataset_id: str, files: Iterable[dataset_pb2.FileHeader]
    ) -> dataset_pb2.PrepareUploadsResponse:
        """URLs to PUT up to 1000 files to, of known size and SHA-256; ``finalize_dataset`` takes in what arrived."""
        request = dataset_pb2.PrepareUploadsRequest(dataset_id=dataset_id, files=files)
        return self._unary(self._datasets.PrepareUploads, request)

    def _send_directly(
        self, dataset_id: str, files: Sequence[LocalFile], counter: ProgressCounter, patience: Patience
    ) -> None:
        """Send all files that are not there yet, several at once; waits for a gateway or a store that is away."""
        counter.restart(0, 0)
        putter = Putter()
        threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="upload")
        try:
            for start in range(0, len(files), PREPARED_AT_ONCE):
                group = files[start : start + PREPARED_AT_ONCE]
                _Group(self, dataset_id, group, counter, putter, threads).send(Backoff(patience))
        finally:
            threads.shutdown(cancel_futures=True)
            putter.close()


class _Group:
    """Files for which URLs are asked together, until all of them are stored."""

    def __init__(
        self,
        calls: DirectUploadCalls,
        dataset_id: str,
        files: Sequence[LocalFile],
        counter: ProgressCounter,
        putter: Putter,
        threads: ThreadPoolExecutor,
    ) -> None:
        self._calls = calls
        self._dataset_id = dataset_id
        self._missing = {file.path: file for file in files}
        self._refused: set[str] = set()
        self._counter = counter
        self._putter = putter
        self._threads = threads

    def send(self, delays: Backoff) -> None:
        """Ask for URLs and send, again and again. Raises VisionMeshError, FolderError, OSError of a file."""
        headers = {
            file.path: dataset_pb2.FileHeader(path=file.path, size_bytes=file.size_bytes, sha256=file.sha256())
            for file in self._missing.values()
        }
        moving = True
        while self._missing:
            before = len(self._missing)
            try:
                asked = [headers[path] for path in self._missing]
                answer = self._calls.prepare_uploads(self._dataset_id, asked)
                if moving:
                    delays.heard()
                for path in answer.stored_paths:
                    self._counter.add(files=1, size_bytes=self._missing.pop(path).size_bytes)
                self._put_all(answer.uploads)
            except VisionMeshError as error:
                moving = len(self._missing) < before
                if moving:
                    delays.heard()
                delays.wait(error)

    def _put_all(self, uploads: Sequence[dataset_pb2.PresignedUpload]) -> None:
        """Send what can be sent; raises VisionMeshError UNAVAILABLE when another round may do better."""
        tasks = {self._threads.submit(self._put, upload): upload.path for upload in uploads}
        done, _ = wait(tasks, return_when=FIRST_EXCEPTION)
        if any(task.exception() for task in done):
            for task in tasks:
                task.cancel()
            done, _ = wait([task for task in tasks if not task.cancelled()])
        failures: list[BaseException] = []
        for task in done:
            if (failure := task.exception()) is None:
                del self._missing[tasks[task]]
            elif not isinstance(failure, PutFailed):
                raise failure
            elif failure.passing or (failure.refused and tasks[task] not in self._refused):
                if failure.refused:
                    self._refused.add(tasks[task])
                failures.append(failure)
            else:
                raise VisionMeshError(grpc.StatusCode.FAILED_PRECONDITION, f"{tasks[task]}: {failure}") from failure
        if failures:
            raise VisionMeshError(grpc.StatusCode.UNAVAILABLE, f"the object store: {failures[0]}") from failures[0]

    def _put(self, upload: dataset_pb2.PresignedUpload) -> None:
        counted = 0

        def sent(size: int) -> None:
            nonlocal counted
            counted += size
            self._counter.add(size_bytes=size)

        try:
            self._putter.put(self._missing[upload.path], upload, sent)
        except BaseException:
            self._counter.add(size_bytes=-counted)
            raise
        self._counter.add(files=1)
