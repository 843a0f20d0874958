"""Datasets of files that lie in a bucket or a folder of the gateway's machine already."""

from __future__ import annotations

import uuid

from visionmesh.calls.uploading import UploadCalls
from visionmesh.v1 import dataset_pb2


class ImportCalls(UploadCalls):
    """Imports."""

    def import_dataset(
        self, spec: dataset_pb2.DatasetSpec, prefix: str, *, request_id: str = ""
    ) -> dataset_pb2.Dataset:
        """Begin to copy the files below ``prefix``; gives the dataset, UPLOADING, whose analysis follows by itself.

        ``watch_dataset`` follows both.
        """
        request = dataset_pb2.ImportDatasetRequest(
            dataset=spec, prefix=prefix, request_id=request_id or uuid.uuid4().hex
        )
        return self._unary(self._datasets.ImportDataset, request).dataset
