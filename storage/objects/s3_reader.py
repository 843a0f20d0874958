"""Reading an object of S3: one version of it, also over a connection that breaks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from typing import Any

from botocore.exceptions import (
    ConnectionClosedError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from storage.objects.errors import StoreUnavailable
from storage.objects.s3_calls import S3Calls

_BROKEN = (ConnectionClosedError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError)


class S3Reader:
    """Reads one object. ``key`` is the object's, ``name`` what it is called in the bucket."""

    def __init__(self, calls: S3Calls, key: str, name: str, attempts: int) -> None:
        self._calls = calls
        self._bucket = calls.bucket
        self._key = key
        self._name = name
        self._attempts = attempts

    def chunks(self, chunk_bytes: int) -> Iterator[bytes]:
        """Yield the bytes as they come; a connection that breaks is made again from where it broke."""
        answer = self._get()
        etag, size, offset, failures = answer["ETag"], answer["ContentLength"], 0, 0
        while True:
            try:
                for chunk in answer["Body"].iter_chunks(chunk_bytes):
                    offset += len(chunk)
                    failures = 0
                    yield chunk
                if offset >= size:
                    return
                raise IncompleteReadError(actual_bytes=offset, expected_bytes=size)
            except _BROKEN as error:
                failures += 1
                if failures >= self._attempts:
                    raise StoreUnavailable(f"bucket {self._bucket!r}: reading {self._key!r} broke off") from error
            finally:
                answer["Body"].close()
            answer = self._get(IfMatch=etag, Range=f"bytes={offset}-")

    def parts(self, size: int, etag: str, part_bytes: int, transfers: int, threads: Executor) -> Iterator[bytes]:
        """Yield the bytes in parts of ``part_bytes``, of which ``transfers`` are fetched ahead in ``threads``."""
        ahead: deque[Future[bytes]] = deque()
        starts = iter(range(0, size, part_bytes))
        try:
            while True:
                while len(ahead) < transfers and (start := next(starts, None)) is not None:
                    ahead.append(threads.submit(self._part, start, min(size, start + part_bytes), etag))
                if not ahead:
                    return
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()

    def _part(self, start: int, end: int, etag: str) -> bytes:
        for attempt in range(self._attempts):
            answer = self._get(IfMatch=etag, Range=f"bytes={start}-{end - 1}")
            try:
                data: bytes = answer["Body"].read()
            except _BROKEN as error:
                if attempt == self._attempts - 1:
                    raise StoreUnavailable(f"bucket {self._bucket!r}: reading {self._key!r} broke off") from error
            else:
                if len(data) == end - start:
                    return data
            finally:
                answer["Body"].close()
        raise StoreUnavailable(f"bucket {self._bucket!r}: {self._key!r} came in pieces of the wrong size")

    def _get(self, **conditions: str) -> Any:
        return self._calls("get_object", self._key, Key=self._name, **conditions)
