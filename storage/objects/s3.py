"""The object store in a bucket of S3, R2 or another server that speaks their language."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

from botocore.exceptions import ClientError

from storage.objects.digest import sha256_file
from storage.objects.errors import InvalidKey, ObjectNotFound, ObjectStoreError, StoreUnavailable
from storage.objects.s3_calls import S3Calls, is_outage
from storage.objects.s3_client import s3_client
from storage.objects.s3_errors import translated
from storage.objects.s3_reader import S3Reader
from storage.objects.s3_settings import S3Settings
from storage.objects.s3_signed_elsewhere import s3_client_signed_elsewhere
from storage.objects.s3_writer import DIGEST_METADATA, S3ObjectWriter
from storage.objects.saving import save_verified
from storage.objects.signing import ObjectCall, Sign
from storage.objects.store import DEFAULT_CHUNK_BYTES, NewObject, ObjectInfo, PresignedPut
from storage.objects.validity import key_objection

LEFTOVER_SECONDS = 24 * 3600
MAX_NAME_BYTES = 1024
# Parts of all objects on their way in, in memory; one part may always be.
PARTS_BYTES = 32 << 20
_DELETED_AT_ONCE = 1000


class S3ObjectStore:
    """An ``ObjectStore`` in a bucket, under a prefix of its own; nothing else in the bucket is touched.

    Raises StoreUnavailable when the bucket cannot be used. Bytes are verified here: servers differ in what they check.
    """

    objects_together = 1

    def __init__(self, bucket: str, prefix: str, settings: S3Settings, sign: Sign | None = None) -> None:
        """``prefix`` is empty or ends in ``/``. With ``sign`` no key is needed: it gives the URL of every call."""
        self._bucket = bucket
        self._prefix = prefix
        self._settings = settings
        self._threads = ThreadPoolExecutor(settings.s3_transfers, thread_name_prefix="s3")
        slots = min(settings.s3_transfers, PARTS_BYTES // settings.s3_part_bytes)
        self._slots = BoundedSemaphore(max(slots, 1))
        self._client = s3_client_signed_elsewhere(settings, prefix, sign) if sign is not None else s3_client(settings)
        self._signer = self._client
        if settings.s3_public_endpoint_url is not None:
            self._signer = s3_client(settings, settings.s3_public_endpoint_url)
        if sign is None:  # else the bucket is not this process's to ask for
            _check_bucket(self._client, bucket, prefix, settings)
        self._calls = S3Calls(self._client, bucket, settings.s3_outage_seconds)

    def writer(self, key: str, *, size_bytes: int | None = None, sha256: str | None = None) -> S3ObjectWriter:
        """Begin an object; see ``ObjectStore.writer``."""
        settings = self._settings
        return S3ObjectWriter(
            self._calls,
            self._threads,
            (key, self._name(key)),
            size_bytes,
            sha256,
            part_bytes=settings.s3_part_bytes,
            transfers=settings.s3_transfers,
            slots=self._slots,
        )

    def put(self, key: str, data: bytes) -> ObjectInfo:
        """Store bytes; see ``ObjectStore.put``."""
        with self.writer(key, size_bytes=len(data)) as writer:
            writer.write(data)
            return writer.commit()

    def put_many(self, objects: Sequence[NewObject]) -> list[ObjectInfo | ObjectStoreError]:
        """Store small objects, one after the other; see ``ObjectStore.put_many``."""
        return [self._put_one(item) for item in objects]

    def put_file(self, key: str, path: Path, *, sha256: str) -> ObjectInfo:
        """Store a local file; see ``ObjectStore.put_file``. Raises OSError when the file cannot be read."""
        with path.open("rb") as file, self.writer(key, size_bytes=path.stat().st_size, sha256=sha256) as writer:
            while chunk := file.read(DEFAULT_CHUNK_BYTES):
                writer.write(chunk)
            return writer.commit()

    def take_file(self, key: str, path: Path) -> ObjectInfo:
        """Store a local file; see ``ObjectStore.take_file``. Raises OSError when the file cannot be read."""
        return self.put_file(key, path, sha256=sha256_file(path))

    def read(self, key: str, chunk_bytes: int = DEFAULT_CHUNK_BYTES) -> Iterator[bytes]:
        """Yield an object's bytes; see ``ObjectStore.read``."""
        yield from self._reader(key).chunks(chunk_bytes)

    def get(self, key: str) -> bytes:
        """Return an object's bytes; see ``ObjectStore.get``."""
        return b"".join(self.read(key))

    def get_file(self, key: str, path: Path, *, sha256: str, size_bytes: int | None = None) -> None:
        """Write an object to a local file, a large one over several connections; see ``ObjectStore.get_file``."""
        reader, settings = self._reader(key), self._settings
        chunks = reader.chunks(DEFAULT_CHUNK_BYTES)
        # Most datasets are many small files: asking for the size of each would double the waiting.
        if size_bytes is None or size_bytes > settings.s3_part_bytes:
            head = self._head(key)
            size, etag = int(head["ContentLength"]), str(head["ETag"])
            if size > settings.s3_part_bytes:
                chunks = reader.parts(size, etag, settings.s3_part_bytes, settings.s3_transfers, self._threads)
        save_verified(chunks, path, key=key, sha256=sha256, size_bytes=size_bytes)

    def copy(self, source: str, key: str, *, sha256: str = "") -> None:
        """Copy an object of at most 5 GiB inside the server; see ``ObjectStore.copy``."""
        noted = {"MetadataDirective": "REPLACE", "Metadata": {DIGEST_METADATA: sha256}} if sha256 else {}
        place = {"Bucket": self._bucket, "Key": self._name(source)}
        self._calls("copy_object", source, Key=self._name(key), CopySource=place, **noted)

    def copy_from_bucket(self, bucket: str, name: str, key: str) -> bool:
        """Copy inside the store's own bucket; see ``ObjectStore.copy_from_bucket``."""
        if bucket != self._bucket:
            return False
        try:
            self._calls("copy_object", key, Key=self._name(key), CopySource={"Bucket": bucket, "Key": name})
        except ObjectNotFound:
            return False
        except StoreUnavailable as error:
            if error.__cause__ is not None and is_outage(error.__cause__):
                raise
            return False  # a server that copies nothing, or not this: reading tells what is wrong
        return True

    def presign_put(self, key: str, *, size_bytes: int, sha256: str, seconds: int) -> PresignedPut:
        """Sign an upload; see ``ObjectStore.presign_put``."""
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        request = {"Bucket": self._bucket, "Key": self._name(key)}
        bound = {"ContentLength": size_bytes, "ChecksumSHA256": checksum}
        with translated(self._bucket, key):
            url = self._signer.generate_presigned_url("put_object", Params=request | bound, ExpiresIn=seconds)
        return PresignedPut(url, {"content-length": str(size_bytes), "x-amz-checksum-sha256": checksum})

    def presign(self, call: ObjectCall, seconds: int) -> str:
        """Sign a call; see ``ObjectStore.presign``."""
        parameters: dict[str, Any] = {"Bucket": self._bucket, "Key": self._name(call.key)}
        if call.upload_id:
            parameters["UploadId"] = call.upload_id
        if call.part_number:
            parameters["PartNumber"] = call.part_number
        if call.content_md5:
            parameters["ContentMD5"] = call.content_md5
        if call.sha256:
            parameters["Metadata"] = {DIGEST_METADATA: call.sha256}
        with translated(self._bucket, call.key):
            url: str = self._client.generate_presigned_url(call.method.value, Params=parameters, ExpiresIn=seconds)
        return url

    def stat(self, key: str) -> ObjectInfo:
        """Describe an object; see ``ObjectStore.stat``."""
        head = self._head(key)
        return ObjectInfo(key, int(head["ContentLength"]), head.get("Metadata", {}).get(DIGEST_METADATA, ""))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield objects by prefix; see ``ObjectStore.list``."""
        if prefix.startswith("/"):
            raise InvalidKey(prefix, "begins with /")
        more: dict[str, str] = {}
        while True:
            page = self._calls("list_objects_v2", prefix, Prefix=self._prefix + prefix, **more)
            for item in page.get("Contents", ()):
                yield ObjectInfo(item["Key"].removeprefix(self._prefix), int(item["Size"]), "")
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, key: str) -> None:
        """Remove an object; see ``ObjectStore.delete``."""
        self._calls("delete_object", key, Key=self._name(key))

    def delete_prefix(self, prefix: str) -> None:
        """Remove objects by prefix; see ``ObjectStore.delete_prefix``."""
        if not prefix.endswith("/"):
            raise InvalidKey(prefix, "does not end in /, as a prefix to delete must")
        self._name(prefix.removesuffix("/"))
        found = [info.key for info in self.list(prefix)]
        for start in range(0, len(found), _DELETED_AT_ONCE):
            objects = [{"Key": self._prefix + key} for key in found[start : start + _DELETED_AT_ONCE]]
            answer = self._calls("delete_objects", prefix, Delete={"Objects": objects, "Quiet": True})
            if errors := answer.get("Errors"):
                code = errors[0].get("Code", "an error")
                raise StoreUnavailable(f"bucket {self._bucket!r}: {len(errors)} objects stay: {code}")

    def sweep(self) -> int:
        """Abort multipart uploads that writers left more than a day ago; return their number."""
        before = datetime.now(UTC) - timedelta(seconds=LEFTOVER_SECONDS)
        swept = 0
        with translated(self._bucket, ""):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            )
            for page in pages:
                for upload in page.get("Uploads", ()):
                    if upload["Initiated"] < before:
                        self._client.abort_multipart_upload(
                            Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                        )
                        swept += 1
        return swept

    def _put_one(self, item: NewObject) -> ObjectInfo | ObjectStoreError:
        try:
            with self.writer(item.key, size_bytes=len(item.data), sha256=item.sha256 or None) as writer:
                writer.write(item.data)
                return writer.commit()
        except ObjectStoreError as error:
            return error

    def _reader(self, key: str) -> S3Reader:
        return S3Reader(self._calls, key, self._name(key), self._settings.s3_attempts)

    def _head(self, key: str) -> Any:
        return self._calls("head_object", key, Key=self._name(key))

    def _name(self, key: str) -> str:
        """What the key is called in the bucket. Raises InvalidKey."""
        if why := key_objection(key):
            raise InvalidKey(key, why)
        name = self._prefix + key
        if len(name.encode()) > MAX_NAME_BYTES:
            raise InvalidKey(key, "is too long")
        return name


def _check_bucket(client: Any, bucket: str, prefix: str, settings: S3Settings) -> None:
    """Ask for the bucket once, so that what is wrong is said at the start; make it where that is asked for."""
    with translated(bucket, ""):
        try:
            client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
        except ClientError as error:
            if not settings.s3_create_bucket or error.response.get("Error", {}).get("Code") != "NoSuchBucket":
                raise
            _create_bucket(client, bucket, settings.s3_region)
            client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)


def _create_bucket(client: Any, bucket: str, region: str) -> None:
    # Amazon wants the region named unless it is its first; other servers know none.
    place = {} if region in ("auto", "us-east-1") else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        client.create_bucket(Bucket=bucket, **place)
    except ClientError as error:
        # Another server of the mesh was faster.
        if error.response.get("Error", {}).get("Code") not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise
