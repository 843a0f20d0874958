"""The messages of PrepareUploads: the request checked as a whole, and the answer."""

from __future__ import annotations

from gateway.datasets.files import FileAnnouncement
from gateway.datasets.preparation import MAX_FILES, Preparation
from rpc.errors import invalid_request
from rpc.times import to_timestamp
from storage.objects.digest import is_sha256
from storage.objects.paths import InvalidPath, normalize
from visionmesh.errors import Violation
from visionmesh.v1 import dataset_pb2


def prepared_files(request: dataset_pb2.PrepareUploadsRequest) -> list[FileAnnouncement]:
    """The files of a request, their paths normalised. Raises INVALID_REQUEST naming every violation."""
    if not 1 <= len(request.files) <= MAX_FILES:
        said = f"holds {len(request.files)} files; 1 to {MAX_FILES} are allowed in a call"
        raise invalid_request([Violation("files", said)])
    files: list[FileAnnouncement] = []
    violations: list[Violation] = []
    paths: set[str] = set()
    for place, header in enumerate(request.files):
        file = FileAnnouncement(header.path, header.size_bytes, header.sha256.lower())
        try:
            file = FileAnnouncement(normalize(header.path), file.size_bytes, file.sha256)
        except InvalidPath as error:
            violations.append(Violation(f"files[{place}].path", str(error)))
        if file.path in paths:
            violations.append(Violation(f"files[{place}].path", f"{file.path!r} is asked for twice"))
        paths.add(file.path)
        violations += _objections(place, header, file)
        files.append(file)
    if violations:
        raise invalid_request(violations)
    return files


def to_preparation(preparation: Preparation) -> dataset_pb2.PrepareUploadsResponse:
    """The answer."""
    uploads = [
        dataset_pb2.PresignedUpload(
            path=upload.path,
            url=upload.put.url,
            headers=upload.put.headers,
            expire_time=to_timestamp(upload.expire_time),
        )
        for upload in preparation.uploads
    ]
    return dataset_pb2.PrepareUploadsResponse(uploads=uploads, stored_paths=preparation.stored_paths)


def _objections(place: int, header: dataset_pb2.FileHeader, file: FileAnnouncement) -> list[Violation]:
    found: list[Violation] = []
    if file.size_bytes < 0:
        said = f"of {file.path!r}: must not be negative: {file.size_bytes}"
        found.append(Violation(f"files[{place}].size_bytes", said))
    if not is_sha256(file.sha256):
        said = f"of {file.path!r}: is required, as 64 hexadecimal digits: it is bound into the URL"
        found.append(Violation(f"files[{place}].sha256", said))
    if header.unpack:
        said = f"of {file.path!r}: an archive is unpacked only when it comes by UploadFiles or UploadDataset"
        found.append(Violation(f"files[{place}].unpack", said))
    return found
