"""An object on its way into S3: in memory while it is small, then as a multipart upload of equal parts."""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from concurrent.futures import Executor, Future, wait
from threading import BoundedSemaphore
from types import TracebackType
from typing import Any, Self

import structlog

from storage.objects.errors import ObjectMismatch, ObjectNotFound, StoreUnavailable
from storage.objects.s3_calls import S3Calls
from storage.objects.signing import MAX_PARTS
from storage.objects.store import ObjectInfo

logger = structlog.get_logger(__name__)

# The user metadata in which an object's digest lies, where it was known before the upload began.
DIGEST_METADATA = "sha256"


class S3ObjectWriter:
    """The ``ObjectWriter`` of S3. A multipart upload becomes visible when it is completed, and only then."""

    def __init__(
        self,
        calls: S3Calls,
        threads: Executor,
        where: tuple[str, str],
        size_bytes: int | None,
        sha256: str | None,
        *,
        part_bytes: int,
        transfers: int,
        slots: BoundedSemaphore,
    ) -> None:
        """``where`` is the key, and what the key is called in the bucket. ``slots`` bounds the parts of all writers
        in memory."""
        self._calls = calls
        self._threads = threads
        self._key, self._name = where
        self._expected_size = size_bytes
        self._expected_sha256 = sha256
        # All parts but the last have the same size, as R2 demands.
        self._part_bytes = max(part_bytes, -(-(size_bytes or 0) // MAX_PARTS))
        self._transfers = transfers
        self._slots = slots
        self._size = 0
        self._digest = hashlib.sha256()
        self._buffer = bytearray()
        self._upload_id = ""
        self._parts: list[Future[dict[str, Any]]] = []
        self._under_way: deque[Future[dict[str, Any]]] = deque()
        self._closed = False

    def write(self, data: bytes) -> None:
        """Append bytes. Raises ObjectMismatch, StoreUnavailable; ValueError after commit or abort."""
        self._check_open()
        self._size += len(data)
        if self._expected_size is not None and self._size > self._expected_size:
            raise ObjectMismatch(self._key, f"{self._expected_size} bytes", f"at least {self._size} bytes")
        self._digest.update(data)
        self._buffer += data
        # One part stays back: the last must not be empty, and a small object needs no parts.
        while len(self._buffer) > self._part_bytes:
            self._send_part(self._part_bytes)

    def commit(self) -> ObjectInfo:
        """Verify and make visible. Raises ObjectMismatch, InvalidKey, StoreUnavailable."""
        self._check_open()
        info = ObjectInfo(self._key, self._size, self._digest.hexdigest())
        try:
            if self._expected_size is not None and info.size_bytes != self._expected_size:
                raise ObjectMismatch(self._key, f"{self._expected_size} bytes", f"{info.size_bytes} bytes")
            if self._expected_sha256 is not None and info.sha256 != self._expected_sha256:
                raise ObjectMismatch(self._key, f"sha256 {self._expected_sha256}", f"sha256 {info.sha256}")
            if self._upload_id:
                self._send_part(len(self._buffer))
                self._complete()
            else:
                self._put(info.sha256)
            self._closed = True
        finally:
            self.abort()  # after a success there is nothing left to drop
        return info

    def abort(self) -> None:
        """Drop what was written."""
        if self._closed:
            return
        self._closed = True
        self._buffer.clear()
        if not self._upload_id:
            return
        for part in self._parts:
            part.cancel()
        wait(self._parts)  # a part that arrives after the abort would stay
        try:
            self._calls.at_once("abort_multipart_upload", self._key, Key=self._name, UploadId=self._upload_id)
        except (StoreUnavailable, ObjectNotFound) as error:
            # Invisible, but it takes room until the next sweep.
            logger.warning("multipart upload left behind", key=self._key, error=str(error))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.abort()

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError(f"the writer of {self._key!r} is closed")

    def _put(self, sha256: str) -> None:
        body = bytes(self._buffer)
        metadata = {DIGEST_METADATA: sha256}
        self._calls("put_object", self._key, Key=self._name, Body=body, ContentMD5=_md5(body), Metadata=metadata)

    def _send_part(self, size: int) -> None:
        if not self._upload_id:
            metadata = {DIGEST_METADATA: self._expected_sha256} if self._expected_sha256 else {}
            begun = self._calls("create_multipart_upload", self._key, Key=self._name, Metadata=metadata)
            self._upload_id = begun["UploadId"]
        while len(self._under_way) >= self._transfers:
            self._under_way.popleft().result()
        self._slots.acquire()
        body = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        try:
            part = self._threads.submit(self._upload_part, len(self._parts) + 1, body)
        except BaseException:
            self._slots.release()
            raise
        # Also when it is cancelled before it begins.
        part.add_done_callback(lambda _: self._slots.release())
        self._parts.append(part)
        self._under_way.append(part)

    def _upload_part(self, number: int, body: bytes) -> dict[str, Any]:
        answer = self._calls(
            "upload_part",
            self._key,
            Key=self._name,
            UploadId=self._upload_id,
            PartNumber=number,
            Body=body,
            ContentMD5=_md5(body),
        )
        return {"PartNumber": number, "ETag": answer["ETag"]}

    def _complete(self) -> None:
        parts = {"Parts": [part.result() for part in self._parts]}
        self._calls(
            "complete_multipart_upload", self._key, Key=self._name, UploadId=self._upload_id, MultipartUpload=parts
        )


def _md5(body: bytes) -> str:
    """Content-MD5: what every server checks, S3, R2 and the small ones."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
