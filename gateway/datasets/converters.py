"""Where the messages of the contract meet the domain: requests in, checked as a whole, and resources out."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from annotations.model import SPLITS
from gateway.datasets.download import DownloadChunk
from gateway.datasets.files import FileAnnouncement, Part, ReceivedFile
from gateway.datasets.previews import DEFAULT_IMAGES, DEFAULT_SIDE, Preview, PreviewRequest
from gateway.datasets.service import PageRequest
from gateway.datasets.spec import (
    DEFAULT_PROJECT,
    DEFAULT_VAL_FRACTION,
    MAX_NAME,
    MAX_PROJECT,
    MAX_REQUEST_ID,
    NewDataset,
    tags_violations,
    text_violations,
)
from gateway.datasets.updates import DatasetChange
from gateway.enums import DATASET_FORMATS, ShortNames
from gateway.paging import DEFAULT_PAGE_SIZE, page_size_violations
from rpc.errors import invalid_request
from rpc.times import to_timestamp
from storage.database import tables
from storage.database.dataset_selection import FileSelection
from storage.database.datasets import DatasetFilter
from storage.objects import keys
from storage.objects.paths import MAX_PATH_BYTES, normalize
from visionmesh.errors import Violation
from visionmesh.v1 import common_pb2, dataset_pb2

VISIBILITIES = ShortNames(dataset_pb2.Visibility, "VISIBILITY_")
STATES = ShortNames(dataset_pb2.DatasetState, "DATASET_STATE_")
PREVIEW_ENCODINGS = ShortNames(dataset_pb2.PreviewEncoding, "PREVIEW_ENCODING_")
MAX_TEXT = 1000
MAX_SHOWN = 100


def new_dataset(spec: dataset_pb2.DatasetSpec, field: str, others: Sequence[Violation] = ()) -> NewDataset:
    """Read a spec that the request holds as ``field``. Raises INVALID_REQUEST naming all violations, ``others`` too."""
    new = NewDataset(
        name=spec.name,
        description=spec.description,
        format=_name(DATASET_FORMATS, spec.format),
        visibility=_name(VISIBILITIES, spec.visibility) or "PRIVATE",
        project_id=spec.project_id or DEFAULT_PROJECT,
        tags=tuple(dict.fromkeys(spec.tags)),
        val_fraction=spec.val_fraction if spec.HasField("val_fraction") else DEFAULT_VAL_FRACTION,
        split_seed=spec.split_seed,
    )
    violations = [*others, *new.violations(field)]
    if violations:
        raise invalid_request(violations)
    return new


def request_id_violations(request_id: str) -> list[Violation]:
    """The rules of a request_id."""
    return text_violations("request_id", request_id, MAX_REQUEST_ID)


def required_id(dataset_id: str) -> str:
    """A request's ``dataset_id``. Raises INVALID_REQUEST when it cannot be one."""
    if not dataset_id:
        raise invalid_request([Violation("dataset_id", "is required")])
    if violations := text_violations("dataset_id", dataset_id, MAX_NAME):
        raise invalid_request(violations)
    return dataset_id


def page_request(page_size: int, page_token: str, others: Sequence[Violation] = ()) -> PageRequest:
    """Read the fields of a page. Raises INVALID_REQUEST naming all violations, ``others`` too."""
    if violations := [*others, *page_size_violations(page_size)]:
        raise invalid_request(violations)
    return PageRequest(page_size or DEFAULT_PAGE_SIZE, page_token)


def list_request(request: dataset_pb2.ListDatasetsRequest) -> tuple[DatasetFilter, PageRequest]:
    """Read a listing's filters and page. Raises INVALID_REQUEST."""
    filters = DatasetFilter(
        project_id=request.project_id,
        format=_name(DATASET_FORMATS, request.format),
        state=_name(STATES, request.state),
        text=request.text,
        tags=tuple(request.tags),
    )
    violations = [
        *text_violations("project_id", request.project_id, MAX_PROJECT),
        *text_violations("text", request.text, MAX_TEXT),
        *tags_violations("tags", request.tags),
    ]
    if filters.format and filters.format not in DATASET_FORMATS.names:
        violations.append(Violation("format", f"{filters.format} is no known format"))
    if filters.state and filters.state not in STATES.names:
        violations.append(Violation("state", f"{filters.state} is no known state"))
    return filters, page_request(request.page_size, request.page_token, violations)


def update_request(request: dataset_pb2.UpdateDatasetRequest) -> tuple[str, DatasetChange]:
    """Read the dataset and what to change of it, unchecked but for the id. Raises INVALID_REQUEST."""
    spec = request.dataset
    change = DatasetChange(
        paths=tuple(dict.fromkeys(request.update_mask.paths)),
        name=spec.name,
        description=spec.description,
        visibility=_name(VISIBILITIES, spec.visibility),
        tags=tuple(dict.fromkeys(spec.tags)),
    )
    return required_id(request.dataset_id), change


def download_request(request: dataset_pb2.DownloadDatasetRequest) -> FileSelection:
    """Read which files are wanted. Raises INVALID_REQUEST naming all violations."""
    violations = [
        *text_violations("path_prefix", request.path_prefix, MAX_PATH_BYTES),
        *text_violations("after_path", request.after_path, MAX_PATH_BYTES),
        *(
            Violation(f"splits[{place}]", f"{split[:MAX_SHOWN]!r} is no split; use any of {', '.join(SPLITS)}")
            for place, split in enumerate(request.splits)
            if split not in SPLITS
        ),
    ]
    if violations:
        raise invalid_request(violations)
    return FileSelection(
        dataset_id=required_id(request.dataset_id),
        # As paths are kept.
        path_prefix=unicodedata.normalize("NFC", request.path_prefix),
        after_path=unicodedata.normalize("NFC", request.after_path),
        splits=tuple(dict.fromkeys(request.splits)),
    )


def preview_request(request: dataset_pb2.GetDatasetPreviewRequest) -> PreviewRequest:
    """Read what is to be drawn, with the defaults filled in. Raises INVALID_REQUEST naming all violations."""
    wanted = PreviewRequest(
        dataset_id=request.dataset_id,
        path=request.path,
        max_side=request.max_side or DEFAULT_SIDE,
        encoding=_name(PREVIEW_ENCODINGS, request.encoding) or "JPEG",
        image_count=request.image_count or DEFAULT_IMAGES,
        split=request.split,
        class_name=unicodedata.normalize("NFC", request.class_name),
        seed=request.seed,
        plain=request.without_annotations,
    )
    violations = wanted.violations()
    if not violations and wanted.path:
        wanted = replace(wanted, path=normalize(wanted.path))
    if violations:
        raise invalid_request(violations)
    return replace(wanted, dataset_id=required_id(request.dataset_id))


async def first_id(requests: AsyncIterator[dataset_pb2.UploadFilesRequest]) -> str:
    """The dataset that the first message of UploadFiles names. Raises INVALID_REQUEST."""
    async for request in requests:
        if request.WhichOneof("payload") == "dataset_id":
            return required_id(request.dataset_id)
        break
    raise invalid_request([Violation("dataset_id", "is required as the first message of the stream")])


async def first_spec(requests: AsyncIterator[dataset_pb2.UploadDatasetRequest]) -> NewDataset:
    """The spec in the first message of UploadDataset. Raises INVALID_REQUEST."""
    async for request in requests:
        if request.WhichOneof("payload") == "spec":
            return new_dataset(request.spec, "spec")
        break
    raise invalid_request([Violation("spec", "is required as the first message of the stream")])


async def file_parts(
    requests: AsyncIterator[dataset_pb2.UploadFilesRequest] | AsyncIterator[dataset_pb2.UploadDatasetRequest],
) -> AsyncIterator[Part]:
    """The headers and chunks of an upload stream, after its first message. Raises INVALID_REQUEST on others."""
    async for request in requests:
        payload = request.WhichOneof("payload")
        if payload == "chunk":
            yield request.chunk
        elif payload == "header":
            header = request.header
            yield FileAnnouncement(header.path, header.size_bytes, header.sha256, unpack=header.unpack)
        elif payload is None:
            raise invalid_request([Violation("payload", "is empty; send a header or a chunk")])
        else:
            raise invalid_request([Violation(payload, "may only be the first message of the stream")])


def to_dataset(row: tables.Dataset) -> dataset_pb2.Dataset:
    """A dataset as clients see it."""
    return dataset_pb2.Dataset(
        id=row.id,
        name=row.name,
        description=row.description,
        format=f"DATASET_FORMAT_{row.format or 'UNSPECIFIED'}",
        visibility=f"VISIBILITY_{row.visibility}",
        project_id=row.project_id,
        user_id=row.user_id,
        tags=row.tags,
        state=f"DATASET_STATE_{row.state}",
        failure=common_pb2.Failure(**row.failure) if row.failure else None,
        file_count=row.file_count,
        total_size_bytes=row.total_size_bytes,
        num_classes=len(row.class_names),
        class_names=row.class_names,
        class_distribution={
            split: dataset_pb2.ClassDistribution(images=images) for split, images in row.class_distribution.items()
        },
        task_types=[f"TASK_TYPE_{name}" for name in row.task_types],
        storage_path=keys.dataset_prefix(row.id),
        manifest_digest=row.manifest_digest,
        create_time=to_timestamp(row.create_time),
        update_time=to_timestamp(row.update_time),
        val_fraction=row.val_fraction,
        split_seed=row.split_seed,
        import_source=row.import_source,
        format_detected_from=row.format_detected_from,
        object_count=row.object_count,
    )


def to_statistics(found: Mapping[str, Any]) -> dataset_pb2.DatasetStatistics:
    """What the analysis measured, from what its record keeps."""
    given = dict(found)
    objects = {
        name: dataset_pb2.ObjectDistribution(objects=counts) for name, counts in given.pop("objects", {}).items()
    }
    return dataset_pb2.DatasetStatistics(**given, objects=objects)


def to_watch_response(row: tables.Dataset) -> dataset_pb2.WatchDatasetResponse:
    """Where a dataset stands."""
    return dataset_pb2.WatchDatasetResponse(
        dataset=to_dataset(row), analyzed_files=row.analyzed_files, total_files=row.file_count
    )


def to_download_response(chunk: DownloadChunk) -> dataset_pb2.DownloadDatasetResponse:
    """A part of an archive."""
    return dataset_pb2.DownloadDatasetResponse(
        chunk=chunk.data,
        last_path=chunk.last_path,
        total_files=chunk.total_files,
        total_size_bytes=chunk.total_size_bytes,
    )


def to_preview_response(preview: Preview) -> dataset_pb2.GetDatasetPreviewResponse:
    """A picture."""
    return dataset_pb2.GetDatasetPreviewResponse(
        image=preview.image,
        content_type=preview.content_type,
        paths=preview.paths,
        width=preview.width,
        height=preview.height,
    )


def to_file(file: tables.DatasetFile | ReceivedFile) -> dataset_pb2.DatasetFile:
    """A file; split and label are empty until it was analysed."""
    message = dataset_pb2.DatasetFile(path=file.path, size_bytes=file.size_bytes, sha256=file.sha256)
    if isinstance(file, tables.DatasetFile):
        message.split, message.label = file.split, file.label
    return message


def to_problem(row: tables.DatasetProblem) -> dataset_pb2.DatasetProblem:
    """A problem."""
    severity = f"PROBLEM_SEVERITY_{row.severity}"
    return dataset_pb2.DatasetProblem(path=row.path, kind=row.kind, severity=severity, message=row.message)


def _name(enum: ShortNames, number: int) -> str:
    """An enum value's short name; empty for unspecified, the number in words for one that is not known."""
    name = enum.name(number)
    return f"the number {number}" if name is None else name
