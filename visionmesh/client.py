"""The Python client of VisionMesh.

with Client("127.0.0.1:50051", token) as client:
    dataset = client.upload_folder("photos", "photos")
    client.wait_for_dataset(dataset.id)
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from visionmesh.calls.checkpoint_download import CheckpointDownloadCalls, DownloadedCheckpoint
from visionmesh.calls.download_plan import DownloadProgress
from visionmesh.calls.downloading import DownloadCalls, Downloaded
from visionmesh.calls.folder import Folder, FolderError, scan
from visionmesh.calls.following import Patience
from visionmesh.calls.imports import ImportCalls
from visionmesh.calls.inference import InferenceCalls
from visionmesh.calls.registry import RegistryCalls
from visionmesh.calls.uploading import UploadProgress
from visionmesh.errors import VisionMeshError

__all__ = [
    "Client",
    "DownloadProgress",
    "Downloaded",
    "DownloadedCheckpoint",
    "Folder",
    "FolderError",
    "Patience",
    "UploadProgress",
    "VisionMeshError",
    "scan",
]


class Client(RegistryCalls, DownloadCalls, ImportCalls, CheckpointDownloadCalls, InferenceCalls):
    """A blocking client of a gateway; safe to share between threads.

    Methods give the messages of the contract and raise ``VisionMeshError``. Lists iterate all their pages, fetching
    one when it is needed.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
