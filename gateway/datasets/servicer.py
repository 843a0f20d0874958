"""DatasetService on the wire: reads a request, calls the service, writes the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from grpc.aio import ServicerContext

from gateway.access import caller
from gateway.datasets import converters
from gateway.datasets.preparation_messages import prepared_files, to_preparation
from gateway.datasets.service import DatasetService
from visionmesh.v1 import dataset_pb2, dataset_service_pb2_grpc

Context = ServicerContext[Any, Any]


class DatasetServicer(dataset_service_pb2_grpc.DatasetServiceServicer):
    """Every RPC of DatasetService. What each does and refuses is in the contract."""

    def __init__(self, service: DatasetService) -> None:
        self._service = service

    async def CreateDataset(
        self, request: dataset_pb2.CreateDatasetRequest, context: Context
    ) -> dataset_pb2.CreateDatasetResponse:
        violations = converters.request_id_violations(request.request_id)
        new = converters.new_dataset(request.dataset, "dataset", violations)
        dataset = await self._service.create(caller().user_id, new, request)
        return dataset_pb2.CreateDatasetResponse(dataset=converters.to_dataset(dataset))

    async def UploadFiles(
        self, request_iterator: AsyncIterator[dataset_pb2.UploadFilesRequest], context: Context
    ) -> AsyncIterator[dataset_pb2.UploadFilesResponse]:
        requests = aiter(request_iterator)
        dataset_id = await converters.first_id(requests)
        parts = converters.file_parts(requests)
        async with aclosing(self._service.upload_files(caller().user_id, dataset_id, parts)) as files:
            async for file in files:
                yield dataset_pb2.UploadFilesResponse(file=converters.to_file(file))

    async def FinalizeDataset(
        self, request: dataset_pb2.FinalizeDatasetRequest, context: Context
    ) -> dataset_pb2.FinalizeDatasetResponse:
        dataset = await self._service.finalize(caller().user_id, converters.required_id(request.dataset_id))
        return dataset_pb2.FinalizeDatasetResponse(dataset=converters.to_dataset(dataset))

    async def WatchDataset(
        self, request: dataset_pb2.WatchDatasetRequest, context: Context
    ) -> AsyncIterator[dataset_pb2.WatchDatasetResponse]:
        dataset_id = converters.required_id(request.dataset_id)
        async with aclosing(self._service.watch(caller().user_id, dataset_id)) as changes:
            async for dataset in changes:
                yield converters.to_watch_response(dataset)

    async def UploadDataset(
        self, request_iterator: AsyncIterator[dataset_pb2.UploadDatasetRequest], context: Context
    ) -> dataset_pb2.UploadDatasetResponse:
        requests = aiter(request_iterator)
        new = await converters.first_spec(requests)
        dataset = await self._service.upload_dataset(caller().user_id, new, converters.file_parts(requests))
        return dataset_pb2.UploadDatasetResponse(dataset=converters.to_dataset(dataset))

    async def PrepareUploads(
        self, request: dataset_pb2.PrepareUploadsRequest, context: Context
    ) -> dataset_pb2.PrepareUploadsResponse:
        dataset_id = converters.required_id(request.dataset_id)
        files = prepared_files(request)
        return to_preparation(await self._service.prepare_uploads(caller().user_id, dataset_id, files))

    async def ImportDataset(
        self, request: dataset_pb2.ImportDatasetRequest, context: Context
    ) -> dataset_pb2.ImportDatasetResponse:
        violations = converters.request_id_violations(request.request_id)
        new = converters.new_dataset(request.dataset, "dataset", violations)
        dataset = await self._service.import_dataset(caller().user_id, new, request.prefix, request)
        return dataset_pb2.ImportDatasetResponse(dataset=converters.to_dataset(dataset))

    async def GetDataset(
        self, request: dataset_pb2.GetDatasetRequest, context: Context
    ) -> dataset_pb2.GetDatasetResponse:
        found = await self._service.get_with_statistics(caller().user_id, converters.required_id(request.dataset_id))
        dataset, statistics = found
        return dataset_pb2.GetDatasetResponse(
            dataset=converters.to_dataset(dataset),
            statistics=None if statistics is None else converters.to_statistics(statistics),
        )

    async def ListDatasets(
        self, request: dataset_pb2.ListDatasetsRequest, context: Context
    ) -> dataset_pb2.ListDatasetsResponse:
        filters, page = converters.list_request(request)
        found = await self._service.list(caller().user_id, filters, page)
        return dataset_pb2.ListDatasetsResponse(
            datasets=map(converters.to_dataset, found.items),
            next_page_token=found.next_page_token,
            total_size=found.total_size,
        )

    async def ListDatasetFiles(
        self, request: dataset_pb2.ListDatasetFilesRequest, context: Context
    ) -> dataset_pb2.ListDatasetFilesResponse:
        dataset_id = converters.required_id(request.dataset_id)
        page = converters.page_request(request.page_size, request.page_token)
        found = await self._service.list_files(caller().user_id, dataset_id, page)
        return dataset_pb2.ListDatasetFilesResponse(
            files=map(converters.to_file, found.items),
            next_page_token=found.next_page_token,
            total_size=found.total_size,
        )

    async def ListDatasetProblems(
        self, request: dataset_pb2.ListDatasetProblemsRequest, context: Context
    ) -> dataset_pb2.ListDatasetProblemsResponse:
        dataset_id = converters.required_id(request.dataset_id)
        page = converters.page_request(request.page_size, request.page_token)
        found = await self._service.list_problems(caller().user_id, dataset_id, page)
        return dataset_pb2.ListDatasetProblemsResponse(
            problems=map(converters.to_problem, found.items),
            next_page_token=found.next_page_token,
            total_size=found.total_size,
        )

    async def GetDatasetPreview(
        self, request: dataset_pb2.GetDatasetPreviewRequest, context: Context
    ) -> dataset_pb2.GetDatasetPreviewResponse:
        preview = await self._service.preview(caller().user_id, converters.preview_request(request))
        return converters.to_preview_response(preview)

    async def UpdateDataset(
        self, request: dataset_pb2.UpdateDatasetRequest, context: Context
    ) -> dataset_pb2.UpdateDatasetResponse:
        dataset_id, change = converters.update_request(request)
        dataset = await self._service.update(caller().user_id, dataset_id, change)
        return dataset_pb2.UpdateDatasetResponse(dataset=converters.to_dataset(dataset))

    async def DeleteDataset(
        self, request: dataset_pb2.DeleteDatasetRequest, context: Context
    ) -> dataset_pb2.DeleteDatasetResponse:
        await self._service.delete(caller().user_id, converters.required_id(request.dataset_id))
        return dataset_pb2.DeleteDatasetResponse()

    async def DownloadDataset(
        self, request: dataset_pb2.DownloadDatasetRequest, context: Context
    ) -> AsyncIterator[dataset_pb2.DownloadDatasetResponse]:
        selection = converters.download_request(request)
        async with aclosing(self._service.download(caller().user_id, selection)) as chunks:
            async for chunk in chunks:
                yield converters.to_download_response(chunk)
