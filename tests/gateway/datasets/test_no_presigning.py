"""A folder of objects hands out no URLs."""

from __future__ import annotations

import grpc
import pytest

from tests.gateway.datasets import puts
from tests.gateway.datasets.conftest import Client, refusal
from visionmesh.v1 import dataset_pb2


async def test_a_local_folder_says_that_uploads_go_through_the_gateway(ada: Client) -> None:
    dataset_id = (await ada.create()).id
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await puts.prepare(ada, dataset_id, {"train/cat/0.png": b"x"})
    assert refusal(caught).reason == "PRESIGNED_UPLOADS_UNSUPPORTED"
    assert refusal(caught).code == grpc.StatusCode.UNIMPLEMENTED
    assert "UploadFiles" in refusal(caught).message
    assert (await ada.get(dataset_id)).state == dataset_pb2.DATASET_STATE_UPLOADING
