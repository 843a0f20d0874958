"""RegistryService over gRPC."""

from __future__ import annotations

from gateway.registry.service import RegistryService
from rpc.interceptors import Context
from visionmesh.v1 import registry_pb2, registry_service_pb2_grpc


class RegistryServicer(registry_service_pb2_grpc.RegistryServiceServicer):
    """Takes calls and gives them to a ``RegistryService``."""

    def __init__(self, service: RegistryService) -> None:
        self._service = service

    async def ListFrameworks(
        self, request: registry_pb2.ListFrameworksRequest, context: Context
    ) -> registry_pb2.ListFrameworksResponse:
        """Lists the frameworks of the mesh."""
        return self._service.frameworks()

    async def ListModels(
        self, request: registry_pb2.ListModelsRequest, context: Context
    ) -> registry_pb2.ListModelsResponse:
        """Lists a page of models."""
        return await self._service.models(request)

    async def GetModel(self, request: registry_pb2.GetModelRequest, context: Context) -> registry_pb2.GetModelResponse:
        """Gets one model."""
        return registry_pb2.GetModelResponse(model=await self._service.model(request.framework, request.model_name))

    async def GetConfigSchema(
        self, request: registry_pb2.GetConfigSchemaRequest, context: Context
    ) -> registry_pb2.GetConfigSchemaResponse:
        """Gets fields and presets."""
        return await self._service.config_schema(request.framework, request.task_type)

    async def ValidateConfig(
        self, request: registry_pb2.ValidateConfigRequest, context: Context
    ) -> registry_pb2.ValidateConfigResponse:
        """Checks a configuration."""
        return await self._service.validate_config(request)
