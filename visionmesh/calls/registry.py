"""What can be trained, and with which settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from google.protobuf import json_format, struct_pb2

from visionmesh.calls.connection import PAGE_SIZE, Connection, pages
from visionmesh.v1 import common_pb2, registry_pb2, registry_service_pb2_grpc

OnProblems = Callable[[Sequence[common_pb2.FrameworkProblem]], None]


class RegistryCalls(Connection):
    """Calls of ``RegistryService``."""

    def frameworks(self) -> registry_pb2.ListFrameworksResponse:
        """Frameworks with versions, tasks and free slots, and the trainers that do not answer."""
        return self._unary(self._registry.ListFrameworks, registry_pb2.ListFrameworksRequest())

    def models(
        self,
        *,
        task_type: common_pb2.TaskType = common_pb2.TASK_TYPE_UNSPECIFIED,
        framework: str = "",
        text: str = "",
        pretrained: bool | None = None,
        on_problems: OnProblems | None = None,
    ) -> Iterator[registry_pb2.Model]:
        """Iterate the models of all pages. ``on_problems`` is told which frameworks are missing, and why."""

        def fetch(token: str) -> tuple[Iterable[registry_pb2.Model], str]:
            answer = self._unary(
                self._registry.ListModels,
                registry_pb2.ListModelsRequest(
                    task_type=task_type,
                    framework=framework,
                    text=text,
                    pretrained=pretrained,
                    page_size=PAGE_SIZE,
                    page_token=token,
                ),
            )
            if on_problems is not None and not token and answer.problems:
                on_problems(answer.problems)
            return answer.models, answer.next_page_token

        return pages(fetch)

    def model(self, framework: str, model_name: str) -> registry_pb2.Model:
        """One model, its parameters counted. NOT_FOUND when the framework offers no such model."""
        request = registry_pb2.GetModelRequest(framework=framework, model_name=model_name)
        return self._unary(self._registry.GetModel, request).model

    def schema(
        self, framework: str, task_type: common_pb2.TaskType = common_pb2.TASK_TYPE_UNSPECIFIED
    ) -> registry_pb2.GetConfigSchemaResponse:
        """Fields and presets of ``advanced_config``."""
        request = registry_pb2.GetConfigSchemaRequest(framework=framework, task_type=task_type)
        return self._unary(self._registry.GetConfigSchema, request)

    def validate(
        self,
        framework: str,
        config: Mapping[str, Any] | struct_pb2.Struct,
        *,
        model_name: str = "",
        task_type: common_pb2.TaskType = common_pb2.TASK_TYPE_UNSPECIFIED,
    ) -> registry_pb2.ValidateConfigResponse:
        """What is wrong with a configuration, or what it becomes with its defaults filled in."""
        request = registry_pb2.ValidateConfigRequest(
            framework=framework, task_type=task_type, model_name=model_name, config=to_struct(config)
        )
        return self._unary(self._registry.ValidateConfig, request)

    @cached_property
    def _registry(self) -> registry_service_pb2_grpc.RegistryServiceStub:
        return registry_service_pb2_grpc.RegistryServiceStub(self._channel)


def to_struct(values: Mapping[str, Any] | struct_pb2.Struct) -> struct_pb2.Struct:
    """A Struct of plain values. Raises ``ValueError`` for what JSON does not know."""
    if isinstance(values, struct_pb2.Struct):
        return values
    try:
        return json_format.ParseDict(dict(values), struct_pb2.Struct())
    except json_format.ParseError as error:
        raise ValueError(f"not a configuration: {error}") from error
