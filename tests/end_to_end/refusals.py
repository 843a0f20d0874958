"""Calls that are refused, as a client sees them, and a look at what they left behind."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from storage.objects.store import ObjectStore
from visionmesh.client import Client, VisionMeshError
from visionmesh.errors import from_rpc
from visionmesh.v1 import (
    dataset_pb2,
    dataset_service_pb2_grpc,
    inference_service_pb2_grpc,
    registry_service_pb2_grpc,
    training_service_pb2_grpc,
)

Code = grpc.StatusCode


def refused(call: Callable[[], object], code: grpc.StatusCode, reason: str, *fields: str) -> VisionMeshError:
    """The error of a call, which must have this code and reason and name exactly these fields."""
    with pytest.raises((VisionMeshError, grpc.RpcError)) as caught:
        call()
    raised = caught.value
    error = from_rpc(raised) if isinstance(raised, grpc.RpcError) else raised
    assert isinstance(error, VisionMeshError)
    assert (error.code, error.reason) == (code, reason), error
    named = sorted(violation.field for violation in error.violations)
    assert named == sorted(fields), error.violations
    assert error.message and all(violation.description for violation in error.violations)
    return error


@contextmanager
def nothing_left(client: Client, store: ObjectStore) -> Iterator[None]:
    """Afterwards there are the datasets, jobs and objects that there were before, and no others."""

    def there() -> tuple[set[str], set[str], set[str]]:
        return (
            {dataset.id for dataset in client.datasets()},
            {job.id for job in client.jobs()},
            {info.key for info in store.list("")},
        )

    before = there()
    yield
    assert there() == before


class Raw:
    """Stubs over a channel of their own; ``metadata`` carries the token, if any."""

    def __init__(self, address: str, token: str | None = None) -> None:
        # A channel may be shared with others of the same address; this one must not be.
        self.channel = grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
        self.metadata = (("authorization", f"Bearer {token}"),) if token is not None else ()
        self.datasets = dataset_service_pb2_grpc.DatasetServiceStub(self.channel)
        self.inference = inference_service_pb2_grpc.InferenceServiceStub(self.channel)
        self.registry = registry_service_pb2_grpc.RegistryServiceStub(self.channel)
        self.training = training_service_pb2_grpc.TrainingServiceStub(self.channel)

    def upload_files(self, dataset_id: str, parts: Iterable[Part]) -> list[dataset_pb2.DatasetFile]:
        """UploadFiles, to its end; the files acknowledged."""
        messages = [dataset_pb2.UploadFilesRequest(dataset_id=dataset_id)]
        messages += [dataset_pb2.UploadFilesRequest(**_payload(part)) for part in parts]
        return [answer.file for answer in self.datasets.UploadFiles(iter(messages), metadata=self.metadata)]

    def upload_dataset(self, spec: dataset_pb2.DatasetSpec, parts: Iterable[Part]) -> dataset_pb2.Dataset:
        """UploadDataset, to its end."""
        messages = [dataset_pb2.UploadDatasetRequest(spec=spec)]
        messages += [dataset_pb2.UploadDatasetRequest(**_payload(part)) for part in parts]
        return self.datasets.UploadDataset(iter(messages), metadata=self.metadata).dataset


Part = dataset_pb2.FileHeader | bytes
"""A file's header, or a chunk of the file."""


def header(path: str, data: bytes = b"", **announced: Any) -> dataset_pb2.FileHeader:
    """The header that announces the file as it is, but for what is ``announced``."""
    whole = {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return dataset_pb2.FileHeader(path=path, **{**whole, **announced})


def file(path: str, data: bytes) -> list[Part]:
    """A whole file."""
    return [header(path, data), data]


def _payload(part: Part) -> dict[str, Any]:
    return {"chunk": part} if isinstance(part, bytes) else {"header": part}
