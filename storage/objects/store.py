"""The protocol of an object store: what the gateway writes and trainers read goes through it.

Calls block: on an event loop, make them in a thread. A store may be used by several threads at once, a writer by
one. Keys are ``/``-separated and made by the server (``storage.objects.keys``); no key may be a folder of another
(``a`` and ``a/b``), which a local folder cannot hold. Every call may raise ``InvalidKey`` and ``StoreUnavailable``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from storage.objects.errors import ObjectStoreError
from storage.objects.signing import ObjectCall

DEFAULT_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class ObjectInfo:
    """One object. ``sha256`` is lowercase hexadecimal, or empty where a store would have to read the bytes to know."""

    key: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class PresignedPut:
    """An HTTP PUT that needs no key of the store's: its URL, and the headers that are part of its signature."""

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class NewObject:
    """A small object to store; ``sha256`` (lowercase hexadecimal) is verified where it is not empty."""

    key: str
    data: bytes
    sha256: str = ""


class ObjectWriter(Protocol):
    """An object on its way in: invisible until committed, gone when aborted. Leaving its context aborts."""

    def write(self, data: bytes) -> None:
        """Append bytes. Raises ObjectMismatch as soon as more than the announced size have come."""
        ...

    def commit(self) -> ObjectInfo:
        """Verify size and SHA-256, then make the object durable and visible at once, replacing an older one.

        Raises ObjectMismatch, and then nothing of the object stays.
        """
        ...

    def abort(self) -> None:
        """Drop what was written; does nothing after a commit or a first abort."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class ObjectStore(Protocol):
    """Bytes by key.

    ``objects_together`` is how many small objects should go into one ``put_many``: several where they share the cost of
    becoming durable, one where each is a request of its own.
    """

    objects_together: int

    def writer(self, key: str, *, size_bytes: int | None = None, sha256: str | None = None) -> ObjectWriter:
        """Begin an object; ``commit`` verifies size and SHA-256 (lowercase hexadecimal) where they are given."""
        ...

    def put(self, key: str, data: bytes) -> ObjectInfo:
        """Store bytes, durable on return."""
        ...

    def put_many(self, objects: Sequence[NewObject]) -> list[ObjectInfo | ObjectStoreError]:
        """Store small objects of different keys, durable on return; gives for each what it is or why it is not there.

        An object that failed leaves nothing behind, and the others alone.
        """
        ...

    def put_file(self, key: str, path: Path, *, sha256: str) -> ObjectInfo:
        """Store a local file, durable on return. Raises ObjectMismatch when its SHA-256 is another."""
        ...

    def take_file(self, key: str, path: Path) -> ObjectInfo:
        """Store a local file that nobody writes to any more, durable on return; ``sha256`` of the answer is its digest.

        The file stays where it is, and may share its bytes with the object from now on: the caller only removes it.
        """
        ...

    def read(self, key: str, chunk_bytes: int = DEFAULT_CHUNK_BYTES) -> Iterator[bytes]:
        """Yield an object's bytes in chunks of at most ``chunk_bytes``: one version of it, whatever happens meanwhile.

        Raises ObjectNotFound at the first chunk.
        """
        ...

    def get(self, key: str) -> bytes:
        """Return an object's bytes. Raises ObjectNotFound."""
        ...

    def get_file(self, key: str, path: Path, *, sha256: str, size_bytes: int | None = None) -> None:
        """Write an object to a local file, which appears whole or not at all (and is not synced to disk).

        The folder of ``path`` must exist. Who knows the size spares the store a question. Raises ObjectNotFound, and
        ObjectMismatch when the SHA-256, or a size that was given, is another.
        """
        ...

    def copy(self, source: str, key: str, *, sha256: str = "") -> None:
        """Copy an object, inside the server where there is one. Nothing is verified; ``sha256`` is noted with the copy.

        Raises ObjectNotFound naming ``source``.
        """
        ...

    def copy_from_bucket(self, bucket: str, name: str, key: str) -> bool:
        """Copy what ``bucket`` calls ``name`` inside the server; False when it must be read and written instead."""
        ...

    def presign_put(self, key: str, *, size_bytes: int, sha256: str, seconds: int) -> PresignedPut:
        """Sign an upload of one object, for ``seconds`` from now; size and SHA-256 are bound into the signature.

        Servers hold senders to the headers, not every one to the bytes: whoever relies on them reads the object.
        Raises PresigningUnsupported.
        """
        ...

    def presign(self, call: ObjectCall, seconds: int) -> str:
        """Sign a call, for ``seconds`` from now: its URL. Raises PresigningUnsupported."""
        ...

    def stat(self, key: str) -> ObjectInfo:
        """Describe an object. Raises ObjectNotFound."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the objects whose key begins with ``prefix`` (any text; empty: all), sorted by key."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; one that does not exist is fine."""
        ...

    def delete_prefix(self, prefix: str) -> None:
        """Remove the objects under ``prefix``, which must end in ``/`` so that it names whole key parts."""
        ...

    def sweep(self) -> int:
        """Remove what writers that died left behind more than a day ago; returns how much that was."""
        ...
