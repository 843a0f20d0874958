"""A prefix of a bucket as the source of an import."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import ClientError, IncompleteReadError

from storage.objects.errors import InvalidKey, ObjectNotFound, SourceUnreadable, StoreUnavailable
from storage.objects.s3_calls import S3Calls, is_outage
from storage.objects.s3_client import s3_client
from storage.objects.s3_reader import S3Reader
from storage.objects.s3_settings import S3Settings
from storage.objects.source import SourceFile
from storage.objects.store import DEFAULT_CHUNK_BYTES, ObjectStore


class S3Source:
    """See ``Source``. ``prefix`` is empty or ends in ``/``; names are whatever follows it in the bucket."""

    def __init__(self, bucket: str, prefix: str, settings: S3Settings) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._attempts = settings.s3_attempts
        self._calls = S3Calls(s3_client(settings), bucket, settings.s3_outage_seconds)

    def files(self) -> Iterator[SourceFile]:
        """Yield every object below the prefix but the empty ones that stand for folders; see ``Source.files``."""
        more: dict[str, str] = {}
        while True:
            with self._translated(""):
                page = self._calls("list_objects_v2", self._prefix, Prefix=self._prefix, **more)
            for item in page.get("Contents", ()):
                name, size = item["Key"].removeprefix(self._prefix), int(item["Size"])
                if size or (name and not name.endswith("/")):
                    yield SourceFile(name, size)
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def read(self, name: str) -> Iterator[bytes]:
        """Yield one version of an object's bytes; see ``Source.read``."""
        with self._translated(name):
            yield from S3Reader(self._calls, name, self._prefix + name, self._attempts).chunks(DEFAULT_CHUNK_BYTES)

    def copy_to(self, store: ObjectStore, name: str, key: str) -> bool:
        """Ask the store, which may lie in the same bucket; see ``Source.copy_to``."""
        return store.copy_from_bucket(self._bucket, self._prefix + name, key)

    @contextmanager
    def _translated(self, name: str) -> Iterator[None]:
        try:
            yield
        except (ObjectNotFound, InvalidKey) as error:
            raise SourceUnreadable(name, "it is no longer there") from error
        except StoreUnavailable as error:
            cause = error.__cause__
            if cause is None or is_outage(cause) or isinstance(cause, IncompleteReadError):
                raise
            why = cause.response.get("Error", {}).get("Code") if isinstance(cause, ClientError) else cause
            raise SourceUnreadable(name, f"the bucket {self._bucket!r} does not let it be read ({why})") from error
