"""Where an import takes its files from: a folder of this machine or a prefix of a bucket, read and never written."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from storage.objects.errors import ObjectMismatch, SourceUnreadable
from storage.objects.s3_settings import S3Settings
from storage.objects.store import ObjectInfo, ObjectStore

S3_SCHEME = "s3://"
MAX_LOCATION = 2048

_UNUSABLE = re.compile(r"[\\\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class SourceFile:
    """A file of a source: ``name`` is its path below the source, as it is spelled there."""

    name: str
    size_bytes: int


class Source(Protocol):
    """Files by name. Calls block, and may be made by several threads at once.

    Every call raises SourceUnreadable for what another try would not mend, StoreUnavailable for an outage.
    """

    def files(self) -> Iterator[SourceFile]:
        """Yield every file, hidden ones too, in any order."""
        ...

    def read(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes in chunks."""
        ...

    def copy_to(self, store: ObjectStore, name: str, key: str) -> bool:
        """Let the store's server copy the file; False when it must be read and written instead."""
        ...


def source_location(text: str) -> str:
    """A source's one spelling: ``s3://BUCKET/PREFIX/`` or the absolute path of a folder, with ``/`` at its end.

    Raises ValueError, whose text completes the sentence "it …".
    """
    scheme = S3_SCHEME if text.startswith(S3_SCHEME) else "/"
    if not text.startswith(scheme):
        raise ValueError("is neither s3://BUCKET/PREFIX/ nor the absolute path of a folder")
    if _UNUSABLE.search(text):
        raise ValueError("contains a backslash or a control character")
    if len(text) > MAX_LOCATION:
        raise ValueError(f"is longer than {MAX_LOCATION} characters")
    rest = text.removeprefix(scheme).removesuffix("/")
    parts = rest.split("/") if rest else []
    if any(part in ("", ".", "..") for part in parts):
        raise ValueError("contains an empty part, . or ..")
    if scheme == S3_SCHEME and not (parts and _BUCKET.fullmatch(parts[0])):
        raise ValueError("names no bucket")
    return "".join((scheme, *(f"{part}/" for part in parts)))


def open_source(location: str, allowed: str, denied: str, s3: S3Settings) -> Source:
    """Open what ``source_location`` gave. No symbolic link leads out of the folder ``allowed`` or into ``denied``.

    Raises StoreUnavailable when the settings of S3 cannot be used.
    """
    if location.startswith(S3_SCHEME):
        # boto3 takes its time to import, and most imports come from a folder.
        from storage.objects.s3_source import S3Source

        bucket, _, prefix = location.removeprefix(S3_SCHEME).partition("/")
        return S3Source(bucket, prefix, s3)
    from storage.objects.folder_source import FolderSource

    return FolderSource(Path(location), allowed, denied)


def copy_file(source: Source, file: SourceFile, store: ObjectStore, key: str) -> ObjectInfo:
    """Copy one file into a store, inside a server where that is possible, and say what lies there now.

    Raises SourceUnreadable, also when the file changed since it was listed.
    """
    if source.copy_to(store, file.name, key):
        info = measure(store, key)
        if info.size_bytes == file.size_bytes:
            return info
        store.delete(key)
    else:
        with suppress(ObjectMismatch), store.writer(key, size_bytes=file.size_bytes) as writer:
            for chunk in source.read(file.name):
                writer.write(chunk)
            return writer.commit()
    raise SourceUnreadable(file.name, "it changed while it was copied")


def measure(store: ObjectStore, key: str) -> ObjectInfo:
    """Count and digest an object by reading it once. Raises ObjectNotFound."""
    size, digest = 0, hashlib.sha256()
    for chunk in store.read(key):
        size += len(chunk)
        digest.update(chunk)
    return ObjectInfo(key, size, digest.hexdigest())
