"""A stand-in for DatasetService, in memory. It can be told to break an upload, and to send an archive of the test's."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import grpc
from google.rpc import code_pb2

from tests.cli.refusing import authenticate, refuse
from visionmesh.v1 import (
    common_pb2,
    dataset_pb2,
    dataset_service_pb2_grpc,
)

UploadRequest: TypeAlias = dataset_pb2.UploadFilesRequest | dataset_pb2.UploadDatasetRequest


@dataclass
class Datasets(dataset_service_pb2_grpc.DatasetServiceServicer):
    """Keeps datasets and the bytes of their files. ``break_after`` breaks the next upload after so many files,
    ``broken`` every one; ``unpacked`` are the archives that came to be unpacked (and are kept as they are)."""

    datasets: dict[str, dataset_pb2.Dataset] = field(default_factory=dict)
    specs: dict[str, dataset_pb2.DatasetSpec] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    statistics: dict[str, dataset_pb2.DatasetStatistics] = field(default_factory=dict)
    break_after: int | None = None
    broken: bool = False
    unpacked: list[str] = field(default_factory=list)
    uploads: int = 0
    broken_image: bool = False
    archive: bytes | None = None
    downloads: list[dataset_pb2.DownloadDatasetRequest] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)  # previews by path; empty: the image is broken

    def _find(self, dataset_id: str, context: grpc.ServicerContext) -> dataset_pb2.Dataset:
        authenticate(context)
        if dataset_id not in self.datasets:
            refuse(
                context,
                code_pb2.NOT_FOUND,
                "DATASET_NOT_FOUND",
                f"No dataset {dataset_id!r}.",
                metadata={"dataset_id": dataset_id},
            )
        return self.datasets[dataset_id]

    def _create(self, spec: dataset_pb2.DatasetSpec) -> dataset_pb2.Dataset:
        dataset = dataset_pb2.Dataset(
            id=f"d{len(self.datasets) + 1}",
            name=spec.name,
            format=spec.format,
            visibility=spec.visibility,
            tags=spec.tags,
            state=dataset_pb2.DATASET_STATE_UPLOADING,
        )
        self.datasets[dataset.id], self.specs[dataset.id], self.files[dataset.id] = dataset, spec, {}
        return dataset

    def _finalize(self, dataset: dataset_pb2.Dataset) -> dataset_pb2.Dataset:
        files = self.files[dataset.id]
        dataset.state = dataset_pb2.DATASET_STATE_ANALYZING
        dataset.file_count = len(files)
        dataset.total_size_bytes = sum(map(len, files.values()))
        return dataset

    def CreateDataset(
        self, request: dataset_pb2.CreateDatasetRequest, context: grpc.ServicerContext
    ) -> dataset_pb2.CreateDatasetResponse:
        authenticate(context)
        if not request.dataset.name.strip():
            violations = {"dataset.name": "must not be empty", "dataset.tags": "at most 50"}
            refuse(context, code_pb2.INVALID_ARGUMENT, "INVALID_REQUEST", "2 fields are wrong.", violations)
        return dataset_pb2.CreateDatasetResponse(dataset=self._create(request.dataset))

    def UploadFiles(
        self, request_iterator: Iterator[dataset_pb2.UploadFilesRequest], context: grpc.ServicerContext
    ) -> Iterator[dataset_pb2.UploadFilesResponse]:
        self.uploads += 1
        first = next(request_iterator)
        stored = self.files[self._find(first.dataset_id, context).id]
        for acknowledged, (path, content, header) in enumerate(_files(request_iterator)):
            if acknowledged == self.break_after or self.broken:
                self.break_after = None
                refuse(context, code_pb2.UNAVAILABLE, "SHUTTING_DOWN", "The server is draining.")
            if path in stored:
                refuse(context, code_pb2.ALREADY_EXISTS, "FILE_EXISTS", f"{path} is there.")
            _check(header, content, context)
            stored[path] = content
            if header.unpack:
                self.unpacked.append(path)
            yield dataset_pb2.UploadFilesResponse(file=dataset_pb2.DatasetFile(path=path))

    def UploadDataset(
        self, request_iterator: Iterator[dataset_pb2.UploadDatasetRequest], context: grpc.ServicerContext
    ) -> dataset_pb2.UploadDatasetResponse:
        authenticate(context)
        dataset = self._create(next(request_iterator).spec)
        for path, content, header in _files(request_iterator):
            _check(header, content, context)
            self.files[dataset.id][path] = content
        return dataset_pb2.UploadDatasetResponse(dataset=self._finalize(dataset))

    def FinalizeDataset(
        self, request: dataset_pb2.FinalizeDatasetRequest, context: grpc.ServicerContext
    ) -> dataset_pb2.FinalizeDatasetResponse:
        return dataset_pb2.FinalizeDatasetResponse(dataset=self._finalize(self._find(request.dataset_id, context)))

    def WatchDataset(
        self, request: dataset_pb2.WatchDatasetRequest, context: grpc.ServicerContext
    ) -> Iterator[dataset_pb2.WatchDatasetResponse]:
        dataset = self._find(request.dataset_id, context)
        total = dataset.file_count
        yield dataset_pb2.WatchDatasetResponse(dataset=dataset, analyzed_files=1, total_files=total)
        if self.broken_image:
            dataset.state = dataset_pb2.DATASET_STATE_FAILED
            dataset.failure.CopyFrom(common_pb2.Failure(reason="DATASET_NOT_TRAINABLE", message="One class only."))
        else:
            dataset.state = dataset_pb2.DATASET_STATE_READY
        yield dataset_pb2.WatchDatasetResponse(dataset=dataset, analyzed_files=total, total_files=total)

    def GetDataset(
        self, request: dataset_pb2.GetDatasetRequest, context: grpc.ServicerContext
    ) -> dataset_pb2.GetDatasetResponse:
        dataset = self._find(request.dataset_id, context)
        return dataset_pb2.GetDatasetResponse(dataset=dataset, statistics=self.statistics.get(dataset.id))

    def ListDatasets(
        self, request: dataset_pb2.ListDatasetsRequest, context: grpc.ServicerContext
    ) -> dataset_pb2.ListDatasetsResponse:
        authenticate(context)
        found = [item for item in self.datasets.values() if not request.state or item.state == request.state]
        return dataset_pb2.ListDatasetsResponse(datasets=found, total_size=len(found))

    def ListDatasetFiles(
        self, request: dataset_pb2.ListDatasetFilesRequest, context: grpc.ServicerContext
    ) -> dataset_pb2.ListDatasetFilesResponse:
        self._find(request.dataset_id, context)
        # Two a page, so that a client that forgets to turn pages is found out.
        files = sorted(self.files[request.dataset_id].items())
        start = int(request.page_token or 0)
        page = [
            dataset_pb2.DatasetFile(path=path, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
            for path, content in files[start : start + 2]
        ]
        token = str(start + 2) if start + 2 < len(files) else ""
        return dataset_pb2.ListDatasetFilesResponse(files=page, next_page_token=token, total_size=len(files))

    def ListDatasetProblems(
        self, request: dataset_pb2.ListDatasetProblemsRequest, context: grpc.ServicerContext
    ) -> dataset_pb2.ListDatasetProblemsResponse:
        self._find(request.dataset_id, context)
        problem = dataset_pb2.DatasetProblem(
            path="cat/1.png", kind="broken_image", severity=dataset_pb2.PROBLEM_SEVERITY_WARNING, message="Replace it."
        )
        return dataset_pb2.ListDatasetProblemsResponse(problems=[problem] if self.broken_image else [])

    def DownloadDataset(
        self, request: dataset_pb2.DownloadDatasetRequest, context: grpc.ServicerContext
    ) -> Iterator[dataset_pb2.DownloadDatasetResponse]:
        files = self.files[self._find(request.dataset_id, context).id]
        self.downloads.append(request)
        paths = [path for path in sorted(files) if path.startswith(request.path_prefix) and path > request.after_path]
        whole = self.archive if self.archive is not None else tar({path: files[path] for path in paths})
        for start in range(0, len(whole), 1000):
            yield dataset_pb2.DownloadDatasetResponse(chunk=whole[start : start + 1000])

    def GetDatasetPreview(
        self, request: dataset_pb2.GetDatasetPreviewRequest, context: grpc.ServicerContext
    ) -> dataset_pb2.GetDatasetPreviewResponse:
        self._find(request.dataset_id, context)
        if request.path in self.pictures:
            if not self.pictures[request.path]:
                refuse(context, code_pb2.INVALID_ARGUMENT, "IMAGE_UNREADABLE", "No image.")
            return dataset_pb2.GetDatasetPreviewResponse(image=self.pictures[request.path], paths=[request.path])
        # Else the picture tells of the request: what a test looks at.
        return dataset_pb2.GetDatasetPreviewResponse(
            image=request.SerializeToString(), width=640, height=480, paths=[request.path or "cat/0.png", "dog/0.png"]
        )

    def UpdateDataset(
        self, request: dataset_pb2.UpdateDatasetRequest, context: grpc.ServicerContext
    ) -> dataset_pb2.UpdateDatasetResponse:
        dataset = self._find(request.dataset_id, context)
        for path in request.update_mask.paths:
            dataset.ClearField(path)
        new = dataset_pb2.Dataset(
            name=request.dataset.name,
            description=request.dataset.description,
            visibility=request.dataset.visibility,
            tags=request.dataset.tags,
        )
        request.update_mask.MergeMessage(new, dataset)
        return dataset_pb2.UpdateDatasetResponse(dataset=dataset)

    def DeleteDataset(
        self, request: dataset_pb2.DeleteDatasetRequest, context: grpc.ServicerContext
    ) -> dataset_pb2.DeleteDatasetResponse:
        del self.datasets[self._find(request.dataset_id, context).id]
        return dataset_pb2.DeleteDatasetResponse()


def tar(files: Mapping[str, bytes]) -> bytes:
    """An archive of these files."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def _files(requests: Iterator[UploadRequest]) -> Iterator[tuple[str, bytes, dataset_pb2.FileHeader]]:
    header, content = None, b""
    for request in requests:
        if request.HasField("header"):
            if header is not None:
                yield header.path, content, header
            header, content = request.header, b""
        else:
            assert len(request.chunk) <= 1 << 20
            content += request.chunk
    if header is not None:
        yield header.path, content, header


def _check(header: dataset_pb2.FileHeader, content: bytes, context: grpc.ServicerContext) -> None:
    if header.size_bytes != len(content) or header.sha256 != hashlib.sha256(content).hexdigest():
        refuse(context, code_pb2.INVALID_ARGUMENT, "FILE_MISMATCH", f"{header.path} differs.")
