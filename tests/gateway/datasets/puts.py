"""Preparing uploads and sending them, as a client in any language would: plain HTTP, no SDK."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from urllib.parse import urlsplit

from tests.gateway.datasets.conftest import Client
from tests.gateway.datasets.pictures import Files, header
from visionmesh.v1 import dataset_pb2


def put(upload: dataset_pb2.PresignedUpload, data: bytes, headers: Mapping[str, str] | None = None) -> int:
    """PUT bytes to a URL with the headers that it asks for, or with others; gives the HTTP status."""
    url = urlsplit(upload.url)
    connection = http.client.HTTPConnection(url.netloc, timeout=30)
    try:
        connection.putrequest("PUT", f"{url.path}?{url.query}")
        for name, value in (upload.headers if headers is None else headers).items():
            connection.putheader(name, value)
        connection.endheaders(data)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


async def prepare(client: Client, dataset_id: str, files: Files) -> dataset_pb2.PrepareUploadsResponse:
    """Prepare the uploads of these files."""
    headers = [header(path, data) for path, data in files.items()]
    return await ask(client, dataset_id, *headers)


async def ask(client: Client, dataset_id: str, *headers: dataset_pb2.FileHeader) -> dataset_pb2.PrepareUploadsResponse:
    """Prepare uploads of files that are announced like this."""
    request = dataset_pb2.PrepareUploadsRequest(dataset_id=dataset_id, files=headers)
    return await client.stub.PrepareUploads(request, metadata=client.metadata)


async def send(client: Client, dataset_id: str, files: Files) -> None:
    """Prepare the uploads and PUT each file."""
    for upload in (await prepare(client, dataset_id, files)).uploads:
        assert put(upload, files[upload.path]) == 200
