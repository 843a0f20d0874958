"""A stand-in for the gateway: a real gRPC server in this process that keeps just enough of the contract, in memory,
for the client and the command to be tested without a mesh. It can be told to break streams."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass

import grpc
from google.protobuf import json_format
from google.rpc import code_pb2

from tests.cli.refusing import authenticate, refuse
from tests.cli.stand_in_datasets import Datasets
from tests.cli.stand_in_inference import Inference
from tests.cli.stand_in_training import Training
from visionmesh.v1 import (
    common_pb2,
    dataset_service_pb2_grpc,
    inference_service_pb2_grpc,
    registry_pb2,
    registry_service_pb2_grpc,
    training_service_pb2_grpc,
)

MODELS = 1201


@dataclass
class Registry(registry_service_pb2_grpc.RegistryServiceServicer):
    """One framework, many models; a second framework that is out of reach unless ``complete``."""

    complete: bool = False

    def ListFrameworks(
        self, request: registry_pb2.ListFrameworksRequest, context: grpc.ServicerContext
    ) -> registry_pb2.ListFrameworksResponse:
        authenticate(context)
        timm = registry_pb2.Framework(
            framework="timm",
            versions={"timm": "1.0.31"},
            task_types=[common_pb2.TASK_TYPE_IMAGE_CLASSIFICATION],
            healthy_trainers=1,
            free_slots=2,
        )
        if self.complete:
            yolo = registry_pb2.Framework(
                framework="yolo", task_types=[common_pb2.TASK_TYPE_OBJECT_DETECTION], healthy_trainers=1, free_slots=1
            )
            return registry_pb2.ListFrameworksResponse(frameworks=[timm, yolo])
        problem = common_pb2.FrameworkProblem(framework="yolo", address="127.0.0.1:9", message="connection refused")
        return registry_pb2.ListFrameworksResponse(frameworks=[timm], problems=[problem])

    def ListModels(
        self, request: registry_pb2.ListModelsRequest, context: grpc.ServicerContext
    ) -> registry_pb2.ListModelsResponse:
        authenticate(context)
        names = [f"model_{number:04d}" for number in range(MODELS)]
        names = [name for name in names if request.text in name]
        start = int(request.page_token or 0)
        end = start + request.page_size
        models = [
            registry_pb2.Model(model_name=name, framework="timm", parameters=370_000, default_image_size=160)
            for name in names[start:end]
        ]
        token = str(end) if end < len(names) else ""
        return registry_pb2.ListModelsResponse(models=models, next_page_token=token, total_size=len(names))

    def GetModel(
        self, request: registry_pb2.GetModelRequest, context: grpc.ServicerContext
    ) -> registry_pb2.GetModelResponse:
        refuse(context, code_pb2.NOT_FOUND, "MODEL_NOT_FOUND", "No such model.")

    def GetConfigSchema(
        self, request: registry_pb2.GetConfigSchemaRequest, context: grpc.ServicerContext
    ) -> registry_pb2.GetConfigSchemaResponse:
        authenticate(context)
        if request.framework != "timm":
            refuse(context, code_pb2.NOT_FOUND, "FRAMEWORK_NOT_FOUND", f"No framework {request.framework!r}.")
        document = {
            "framework": "timm",
            "fields": [
                {
                    "name": "optimizer.type",
                    "type": "CONFIG_FIELD_TYPE_SELECT",
                    "description": "How gradients become updates.",
                    "default_value": "adamw",
                    "options": [{"value": "adamw"}, {"value": "sgd"}],
                },
                {
                    "name": "optimizer.momentum",
                    "type": "CONFIG_FIELD_TYPE_NUMBER",
                    "default_value": 0.9,
                    "minimum": 0,
                    "maximum": 0.999,
                    "condition": {"field": "optimizer.type", "values": ["sgd"]},
                },
            ],
            "presets": [
                {"name": "basic", "config": {"optimizer.type": "adamw", "optimizer.momentum": 0.9}},
                {"name": "standard", "config": {"optimizer.type": "sgd", "optimizer.momentum": 0.8}},
            ],
        }
        return json_format.ParseDict(document, registry_pb2.GetConfigSchemaResponse())

    def ValidateConfig(
        self, request: registry_pb2.ValidateConfigRequest, context: grpc.ServicerContext
    ) -> registry_pb2.ValidateConfigResponse:
        authenticate(context)
        return registry_pb2.ValidateConfigResponse(config=request.config)


@dataclass
class StandIn:
    """The server with its services."""

    address: str
    datasets: Datasets
    training: Training
    inference: Inference
    stop: Callable[[], threading.Event]


def serve(address: str = "127.0.0.1:0", *, complete: bool = False, training: Training | None = None) -> StandIn:
    """Start a stand-in, on a free port unless told otherwise; ``complete``: with every framework within reach;
    ``training``: with the jobs of one that was stopped."""
    # Tests look at their connections more often than a server would let its clients.
    options = [("grpc.http2.max_ping_strikes", 0), ("grpc.so_reuseport", 0)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=options)
    # They answer what these tests ask, not the whole contract.
    datasets, inference = Datasets(), Inference()  # type: ignore[abstract]
    training = training or Training()
    registry_service_pb2_grpc.add_RegistryServiceServicer_to_server(Registry(complete), server)
    dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server(datasets, server)
    training_service_pb2_grpc.add_TrainingServiceServicer_to_server(training, server)
    inference_service_pb2_grpc.add_InferenceServiceServicer_to_server(inference, server)
    port = server.add_insecure_port(address)
    server.start()
    return StandIn(f"127.0.0.1:{port}", datasets, training, inference, lambda: server.stop(None))
