"""InferenceService over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from gateway.access import caller
from gateway.inference.service import InferenceService
from rpc.interceptors import Context
from visionmesh.v1 import inference_pb2, inference_service_pb2_grpc


class InferenceServicer(inference_service_pb2_grpc.InferenceServiceServicer):
    """Takes calls and gives them to an ``InferenceService``."""

    def __init__(self, service: InferenceService) -> None:
        self._service = service

    async def Predict(self, request: inference_pb2.PredictRequest, context: Context) -> inference_pb2.PredictResponse:
        """Predicts one image. The trainer gets the caller's deadline, and a call given up is given up there too."""
        return await self._service.predict(request, caller().user_id, context.time_remaining())

    async def PredictStream(
        self, request_iterator: AsyncIterator[inference_pb2.PredictStreamRequest], context: Context
    ) -> AsyncIterator[inference_pb2.PredictStreamResponse]:
        """Predicts a stream of images."""
        answers = self._service.predict_stream(request_iterator, caller().user_id, context.time_remaining())
        async with aclosing(answers):
            async for answer in answers:
                yield answer

    async def ListLoadedModels(
        self, request: inference_pb2.ListLoadedModelsRequest, context: Context
    ) -> inference_pb2.ListLoadedModelsResponse:
        """Lists the caller's models in memory."""
        return await self._service.loaded_models(caller().user_id)
