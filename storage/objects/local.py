"""The object store in a local folder: the embedded default, shared by processes of one machine.

Objects lie under their keys; an object on its way in lies under ``.incoming``. Symbolic links below the root are
never followed, so no key leads out of it.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from uuid import uuid4

from storage.objects.digest import sha256_file
from storage.objects.disk import sync_path
from storage.objects.errors import InvalidKey, ObjectNotFound, ObjectStoreError, PresigningUnsupported, StoreUnavailable
from storage.objects.local_writer import LocalObjectWriter
from storage.objects.saving import save_verified
from storage.objects.signing import ObjectCall
from storage.objects.store import DEFAULT_CHUNK_BYTES, NewObject, ObjectInfo, PresignedPut
from storage.objects.validity import key_objection

INCOMING = ".incoming"
LEFTOVER_SECONDS = 24 * 3600
_MAX_PATH_BYTES = 4095  # PATH_MAX of Linux, less the final NUL
_PLACE_ATTEMPTS = 20
# Another file system, one that has no hard links, or a file of somebody else's.
_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK)


class LocalObjectStore:
    """An ``ObjectStore`` in a folder, made when it does not exist. Raises StoreUnavailable when it cannot be used."""

    objects_together = 32

    def __init__(self, root: Path) -> None:
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._root = root.resolve(strict=True)
            self._incoming = self._root / INCOMING
            self._incoming.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(f"cannot use the object folder {root}: {error}") from error

    def writer(self, key: str, *, size_bytes: int | None = None, sha256: str | None = None) -> LocalObjectWriter:
        """Begin an object; see ``ObjectStore.writer``."""
        self._path(key)
        temporary = self._incoming / uuid4().hex
        return LocalObjectWriter(key, temporary, lambda: self._place(temporary, key), size_bytes, sha256)

    def put(self, key: str, data: bytes) -> ObjectInfo:
        """Store bytes; see ``ObjectStore.put``."""
        with self.writer(key) as writer:
            writer.write(data)
            return writer.commit()

    def put_many(self, objects: Sequence[NewObject]) -> list[ObjectInfo | ObjectStoreError]:
        """Store small objects, whose folders are synced once for all of them; see ``ObjectStore.put_many``."""
        outcomes: list[ObjectInfo | ObjectStoreError] = []
        placed: list[Path] = []
        for item in objects:
            try:
                temporary = self._incoming / uuid4().hex
                place = partial(self._place_one, temporary, item.key, placed)
                with LocalObjectWriter(item.key, temporary, place, len(item.data), item.sha256 or None) as writer:
                    writer.write(item.data)
                    outcomes.append(writer.commit())
            except ObjectStoreError as error:
                outcomes.append(error)
        try:
            with self._translated("objects"):
                self._sync_folders(placed)
        except ObjectStoreError as error:
            for path in placed:
                path.unlink(missing_ok=True)
            return [error if isinstance(outcome, ObjectInfo) else outcome for outcome in outcomes]
        return outcomes

    def put_file(self, key: str, path: Path, *, sha256: str) -> ObjectInfo:
        """Store a local file; see ``ObjectStore.put_file``. Raises OSError when the file cannot be read."""
        with path.open("rb") as file, self.writer(key, sha256=sha256) as writer:
            while chunk := file.read(DEFAULT_CHUNK_BYTES):
                writer.write(chunk)
            return writer.commit()

    def take_file(self, key: str, path: Path) -> ObjectInfo:
        """Link a local file, or copy it from another file system; see ``ObjectStore.take_file``."""
        self._path(key)
        temporary = self._incoming / uuid4().hex
        try:
            os.link(path, temporary)
        except OSError as error:
            if error.errno in _NO_LINKS:
                return self.put_file(key, path, sha256=sha256_file(path))
            if not path.exists():
                raise
            raise StoreUnavailable(f"cannot write {key!r}: {error}") from error
        try:
            with self._translated(key):
                size_bytes, sha256 = temporary.stat().st_size, sha256_file(temporary)
                sync_path(temporary)
                self._place(temporary, key)
        finally:
            temporary.unlink(missing_ok=True)
        return ObjectInfo(key, size_bytes, sha256)

    def read(self, key: str, chunk_bytes: int = DEFAULT_CHUNK_BYTES) -> Iterator[bytes]:
        """Yield an object's bytes; see ``ObjectStore.read``."""
        path = self._path(key)
        with self._translated(key):
            file = path.open("rb")
        with file:
            while True:
                with self._translated(key):
                    chunk = file.read(chunk_bytes)
                if not chunk:
                    return
                yield chunk

    def get(self, key: str) -> bytes:
        """Return an object's bytes; see ``ObjectStore.get``."""
        return b"".join(self.read(key))

    def get_file(self, key: str, path: Path, *, sha256: str, size_bytes: int | None = None) -> None:
        """Write an object to a local file; see ``ObjectStore.get_file``."""
        save_verified(self.read(key), path, key=key, sha256=sha256, size_bytes=size_bytes)

    def copy(self, source: str, key: str, *, sha256: str = "") -> None:
        """Copy an object; see ``ObjectStore.copy``."""
        with self.writer(key) as writer:
            for chunk in self.read(source):
                writer.write(chunk)
            writer.commit()

    def copy_from_bucket(self, bucket: str, name: str, key: str) -> bool:
        """A folder lies in no bucket; see ``ObjectStore.copy_from_bucket``."""
        return False

    def presign_put(self, key: str, *, size_bytes: int, sha256: str, seconds: int) -> PresignedPut:
        """Raises PresigningUnsupported: nobody serves the folder; see ``ObjectStore.presign_put``."""
        raise PresigningUnsupported(key)

    def presign(self, call: ObjectCall, seconds: int) -> str:
        """Raises PresigningUnsupported: nobody serves the folder; see ``ObjectStore.presign``."""
        raise PresigningUnsupported(call.key)

    def stat(self, key: str) -> ObjectInfo:
        """Describe an object; see ``ObjectStore.stat``."""
        path = self._path(key)
        with self._translated(key):
            status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise ObjectNotFound(key)
        return ObjectInfo(key, status.st_size, "")

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield objects by prefix; see ``ObjectStore.list``."""
        above = prefix.rpartition("/")[0]
        folder = self._path(above) if above else self._root
        if not above and "/" in prefix:
            raise InvalidKey(prefix, "begins with /")
        yield from self._walk(folder, f"{above}/" if above else "", prefix)

    def delete(self, key: str) -> None:
        """Remove an object; see ``ObjectStore.delete``. A power cut soon after may bring it back."""
        path = self._path(key)
        try:
            with self._translated(key):
                path.unlink()
                self._prune(path.parent)
        except ObjectNotFound:
            return

    def delete_prefix(self, prefix: str) -> None:
        """Remove objects by prefix; see ``ObjectStore.delete_prefix``."""
        if not prefix.endswith("/"):
            raise InvalidKey(prefix, "does not end in /, as a prefix to delete must")
        for info in self.list(prefix):
            self.delete(info.key)

    def sweep(self) -> int:
        """Remove what writers that died left under ``.incoming`` more than a day ago; return the number of files."""
        oldest = time.time() - LEFTOVER_SECONDS
        swept = 0
        with self._translated(INCOMING), os.scandir(self._incoming) as entries:
            for entry in entries:
                # A file that is gone was committed or aborted since the folder was read.
                with suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        os.unlink(entry.path)
                        swept += 1
        return swept

    def _path(self, key: str) -> Path:
        """The file of a key. Raises InvalidKey."""
        why = key_objection(key)
        if why:
            raise InvalidKey(key, why)
        if key.partition("/")[0] == INCOMING:
            raise InvalidKey(key, "is reserved")
        path = self._root.joinpath(*key.split("/"))
        if len(os.fsencode(path)) > _MAX_PATH_BYTES:
            raise InvalidKey(key, "is too long")
        # The root is resolved and the key has no dots: only a symbolic link on the way can make a difference.
        if os.path.realpath(path) != str(path):
            raise InvalidKey(key, "leads through a symbolic link")
        return path

    def _place(self, temporary: Path, key: str) -> None:
        self._sync_folders([self._move(temporary, key)])

    def _place_one(self, temporary: Path, key: str, placed: MutableSequence[Path]) -> None:
        placed.append(self._move(temporary, key))

    def _move(self, temporary: Path, key: str) -> Path:
        """Move a temporary file to where its key says, which is given; durable it is when its folders are synced."""
        path = self._path(key)
        for _ in range(_PLACE_ATTEMPTS):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                os.replace(temporary, path)
                break
            except (FileExistsError, NotADirectoryError) as error:
                raise InvalidKey(key, "needs a folder where an object lies") from error
            except IsADirectoryError as error:
                # Empty folders are what a crash left of objects that are gone.
                if not self._prune_below(path):
                    raise InvalidKey(key, "is a folder of other objects") from error
            except FileNotFoundError as error:
                # A deletion removed the empty folder before the object was in it: make it again.
                if not temporary.exists():
                    raise StoreUnavailable(f"the bytes of {key!r} were removed before they were committed") from error
        else:
            raise StoreUnavailable(f"the folder of {key!r} kept being removed")
        return path

    def _sync_folders(self, paths: Iterable[Path]) -> None:
        """Make durable that these files have their names.

        All folders up to the root, whoever made them: an object is durable only when they are. One that is gone was
        removed with the object, by a deletion that came after.
        """
        folders = {folder for path in paths for folder in path.relative_to(self._root).parents}
        for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
            with suppress(FileNotFoundError):
                sync_path(self._root / folder)

    def _prune(self, folder: Path) -> None:
        """Remove a folder and those above it, as far as they are empty."""
        while folder != self._root and _remove_if_empty(folder):
            folder = folder.parent

    def _prune_below(self, folder: Path) -> bool:
        """Remove a tree that holds nothing but folders; False when it holds something."""
        return all(_remove_if_empty(Path(name)) for name, _, _ in os.walk(folder, topdown=False))

    def _walk(self, folder: Path, above: str, prefix: str) -> Iterator[ObjectInfo]:
        try:
            with self._translated(prefix), os.scandir(folder) as scanned:
                # As keys sort: a folder by its name and the / that follows it.
                entries = sorted((entry.name + "/" * entry.is_dir(follow_symlinks=False), entry) for entry in scanned)
        except ObjectNotFound:
            return
        for name, entry in entries:
            key = above + name
            if not key.startswith(prefix) or entry.path == str(self._incoming):
                continue
            if name.endswith("/"):
                yield from self._walk(Path(entry.path), key, prefix)
            elif entry.is_file(follow_symlinks=False):
                try:
                    with self._translated(key):
                        size = entry.stat(follow_symlinks=False).st_size
                except ObjectNotFound:
                    continue  # deleted since the folder was read
                yield ObjectInfo(key, size, "")

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            if not self._incoming.is_dir():
                raise StoreUnavailable(f"the object folder {self._root} is gone") from error
            raise ObjectNotFound(key) from error
        except OSError as error:
            raise StoreUnavailable(f"object folder {self._root}: {error}") from error


def _remove_if_empty(folder: Path) -> bool:
    """Remove an empty folder; False when it holds something. One that is gone counts as removed."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True
