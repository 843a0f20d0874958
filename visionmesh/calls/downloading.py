"""Datasets to a folder or an archive on this machine, going on by itself after a break."""

from __future__ import annotations

import hashlib
import os
import secrets
import tarfile
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import grpc

from visionmesh.calls.archive_stream import ArchiveStream, Member
from visionmesh.calls.datasets import DatasetCalls
from visionmesh.calls.download_plan import DownloadCounter, OnDownload, WantedFiles
from visionmesh.calls.following import Backoff, Patience
from visionmesh.calls.target import PART_PREFIX, TargetFolder, WrongContent
from visionmesh.errors import VisionMeshError
from visionmesh.v1 import dataset_pb2

# Files that are there already are read past when they are fewer bytes than this; behind more, a new stream begins.
_PASSED_OVER_BYTES = 8 << 20


@dataclass(frozen=True)
class Downloaded:
    """What a download brought: files and their bytes, and the number of files that were there before."""

    files: int
    size_bytes: int
    files_there: int


class DownloadCalls(DatasetCalls):
    """The two ways to download a dataset."""

    def download_dataset(
        self,
        dataset_id: str,
        folder: str | os.PathLike[str],
        *,
        path_prefix: str = "",
        splits: Sequence[str] = (),
        progress: OnDownload | None = None,
        patience: Patience | None = None,
    ) -> Downloaded:
        """Download the files of a READY dataset into a folder, each of which appears whole or not at all.

        Files that are there with the right bytes are passed over, so a download that was given up goes on; a gateway
        that is UNAVAILABLE is waited for. ``path_prefix`` and ``splits`` (``train``, …) choose a part.
        Raises ``VisionMeshError``, ``FolderError`` for a path that leads out of the folder, or ``OSError``.
        """
        wanted = self._wanted_files(dataset_id, path_prefix, splits)
        target = TargetFolder(Path(folder))
        missing = [file for file in wanted.files if not target.holds(file.path, file.size_bytes, file.sha256)]
        counter = DownloadCounter(wanted, progress)
        counter.restart(missing)
        result = Downloaded(len(missing), sum(file.size_bytes for file in missing), len(wanted.files) - len(missing))
        missing.reverse()  # the next one is at the end, where it can be taken
        request = _request(dataset_id, path_prefix, splits)
        delays = Backoff(patience or Patience())
        if not missing and wanted.files:
            # Asked nevertheless: the server says whether the dataset can be downloaded at all.
            request.after_path = wanted.files[-1].path
        while True:
            if missing:
                request.after_path = wanted.before(missing[-1].path)
            try:
                with self._archive(request, delays) as archive:
                    _unpack(archive, wanted, missing, target, counter)
            except grpc.RpcError as error:
                counter.restart(missing[::-1])
                delays.broke(error)
            except (tarfile.TarError, WrongContent) as error:
                raise _damaged(dataset_id, error) from error
            else:
                if not missing:
                    return result

    def download_archive(
        self,
        dataset_id: str,
        file: str | os.PathLike[str],
        *,
        path_prefix: str = "",
        splits: Sequence[str] = (),
        progress: OnDownload | None = None,
        patience: Patience | None = None,
    ) -> Downloaded:
        """Download the files of a READY dataset as one tar archive, which appears whole, replacing one that is there.

        Every file in it is verified; a gateway that is UNAVAILABLE is waited for. Raises ``VisionMeshError`` or
        ``OSError``.
        """
        wanted = self._wanted_files(dataset_id, path_prefix, splits)
        counter = DownloadCounter(wanted, progress)
        counter.restart(wanted.files)
        request = _request(dataset_id, path_prefix, splits)
        delays = Backoff(patience or Patience())
        target = Path(file)
        part = target.parent / f"{PART_PREFIX}{secrets.token_hex(8)}"
        end, done = 0, 0  # the offset behind the last whole file, and the number of these
        try:
            with part.open("xb") as copy:
                while True:
                    begin = end
                    try:
                        with self._archive(request, delays, copy) as archive:
                            for member in archive.members():
                                _verify(member, wanted, done, counter)
                                end, done = begin + member.end, done + 1
                                request.after_path = member.path
                        break
                    except grpc.RpcError as error:
                        copy.truncate(copy.seek(end))
                        counter.restart(wanted.files[done:])
                        delays.broke(error)
            if done != len(wanted.files):
                raise WrongContent(wanted.files[done].path)
            os.replace(part, target)
        except (tarfile.TarError, WrongContent) as error:
            raise _damaged(dataset_id, error) from error
        finally:
            part.unlink(missing_ok=True)
        return Downloaded(done, wanted.size_bytes, 0)

    def _wanted_files(self, dataset_id: str, path_prefix: str, splits: Sequence[str]) -> WantedFiles:
        path_prefix = unicodedata.normalize("NFC", path_prefix)  # as the server keeps paths
        return WantedFiles(
            file
            for file in self.dataset_files(dataset_id)
            if file.path.startswith(path_prefix) and (not splits or file.split in splits)
        )

    @contextmanager
    def _archive(
        self, request: dataset_pb2.DownloadDatasetRequest, delays: Backoff, copy: BinaryIO | None = None
    ) -> Iterator[ArchiveStream]:
        """One call; left early, it is cancelled."""
        stream = self._datasets.DownloadDataset(request, metadata=self._metadata)
        delays.began()

        def chunks() -> Iterator[bytes]:
            for answer in stream:
                delays.heard()
                yield answer.chunk

        try:
            yield ArchiveStream(chunks(), copy)
        finally:
            stream.cancel()


def _request(dataset_id: str, path_prefix: str, splits: Sequence[str]) -> dataset_pb2.DownloadDatasetRequest:
    return dataset_pb2.DownloadDatasetRequest(dataset_id=dataset_id, path_prefix=path_prefix, splits=splits)


def _unpack(
    archive: ArchiveStream,
    wanted: WantedFiles,
    missing: list[dataset_pb2.DatasetFile],
    target: TargetFolder,
    counter: DownloadCounter,
) -> None:
    """Take the missing files, of which the last is the next, until none is left or the next one is far away.

    Raises ``WrongContent`` when the archive ends before.
    """
    for member in archive.members():
        if not missing or wanted.find(member.path) is None:
            raise WrongContent(member.path)
        if member.path == missing[-1].path:
            file = missing[-1]
            target.write(file.path, counter.counted(member.chunks()), file.size_bytes, file.sha256)
            missing.pop()
            if not missing or wanted.bytes_between(file.path, missing[-1].path) > _PASSED_OVER_BYTES:
                return
    if missing:
        raise WrongContent(missing[-1].path)


def _verify(member: Member, wanted: WantedFiles, place: int, counter: DownloadCounter) -> None:
    """Raises ``WrongContent`` unless the member is the file at this place."""
    if place >= len(wanted.files):
        raise WrongContent(member.path)
    file = wanted.files[place]
    digest = hashlib.sha256()
    for chunk in counter.counted(member.chunks()):
        digest.update(chunk)
    if (member.path, member.size_bytes, digest.hexdigest()) != (file.path, file.size_bytes, file.sha256):
        raise WrongContent(member.path)


def _damaged(dataset_id: str, error: Exception) -> VisionMeshError:
    said = f"what the server sends as dataset {dataset_id} is not what it lists ({error}); try again"
    return VisionMeshError(grpc.StatusCode.DATA_LOSS, said, metadata={"dataset_id": dataset_id})
