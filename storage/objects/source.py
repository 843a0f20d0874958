"""Where an import takes its files from: a folder of this machine or a prefix of a bucket, read and never written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from storage.objects.s3_settings import S3Settings
from storage.objects.store import ObjectStore

S3_SCHEME = "s3://"


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


def open_source(location: str, allowed: str, s3: S3Settings) -> Source:
    """Open ``s3://BUCKET/PREFIX/`` or a folder. No symbolic link is followed that leads out of the folder ``allowed``.

    Raises StoreUnavailable when the settings of S3 cannot be used.
    """
    if location.startswith(S3_SCHEME):
        # boto3 takes its time to import, and most imports come from a folder.
        from storage.objects.s3_source import S3Source

        bucket, _, prefix = location.removeprefix(S3_SCHEME).partition("/")
        return S3Source(bucket, prefix, s3)
    from storage.objects.folder_source import FolderSource

    return FolderSource(Path(location), Path(allowed))
