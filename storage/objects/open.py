"""From a setting to a store: the one place that knows which implementations there are."""

from __future__ import annotations

from pathlib import Path

from storage.objects.errors import StoreUnavailable
from storage.objects.local import LocalObjectStore
from storage.objects.s3_settings import S3Settings
from storage.objects.signing import Sign
from storage.objects.store import ObjectStore
from storage.objects.validity import key_objection

S3_SCHEME = "s3://"


def open_store(location: str, s3: S3Settings | None = None, sign: Sign | None = None) -> ObjectStore:
    """Open the store at ``s3://bucket`` or ``s3://bucket/prefix``, or in a local folder (``~`` is the user's home).

    A folder is made when it does not exist, a bucket is not. Without ``s3`` its settings are those of the environment.
    With ``sign`` a bucket is used without a key of this process's own: that signs each call.
    Raises StoreUnavailable when the store cannot be used, pydantic's ValidationError for wrong settings.
    """
    if not location.startswith(S3_SCHEME):
        return LocalObjectStore(Path(location).expanduser())
    bucket, _, prefix = location.removeprefix(S3_SCHEME).partition("/")
    prefix = prefix.strip("/")
    if not bucket or (prefix and key_objection(prefix)):
        raise StoreUnavailable(f"{location!r} is not s3://bucket or s3://bucket/prefix")
    # boto3 takes its time to import, and most meshes keep their objects in a folder.
    from storage.objects.s3 import S3ObjectStore

    return S3ObjectStore(bucket, f"{prefix}/" if prefix else "", s3 or S3Settings(), sign)


def absolute(location: str) -> str:
    """The same store, named so that a process in another folder finds it."""
    return location if location.startswith(S3_SCHEME) else str(Path(location).expanduser().resolve())
