"""What the registry answers, without transport."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from difflib import get_close_matches

from gateway.enums import TASK_TYPES
from gateway.failover import first_answer
from gateway.fleet import Fleet, Trainer
from gateway.paging import page_size_violations
from gateway.problems import framework_problem
from gateway.registry.catalogues import Catalogues
from gateway.registry.listing import after_token, matching, page_of
from rpc.errors import DomainError, invalid_request
from visionmesh.errors import Violation
from visionmesh.mesh.v1 import trainer_pb2
from visionmesh.v1 import common_pb2, registry_pb2

# Comparing takes time that grows with the lengths; no model's name is nearly as long.
_MAX_COMPARED_CHARACTERS = 200


class RegistryService:
    """Frameworks and models of a fleet. A trainer out of reach is reported beside what the others tell."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._catalogues = Catalogues(fleet)

    def frameworks(self) -> registry_pb2.ListFrameworksResponse:
        """Every framework that some trainer ever said it serves, and every trainer that does not answer."""
        by_name = {
            name: [trainer for trainer in self._fleet.trainers if trainer.framework == name]
            for name in self._fleet.frameworks()
        }
        return registry_pb2.ListFrameworksResponse(
            frameworks=[_framework(name, trainers) for name, trainers in by_name.items()],
            problems=[framework_problem(trainer) for trainer in self._fleet.trainers if not trainer.healthy],
        )

    async def models(self, request: registry_pb2.ListModelsRequest) -> registry_pb2.ListModelsResponse:
        """A page of models. Raises DomainError INVALID_REQUEST, FRAMEWORK_NOT_FOUND (the filter names none)."""
        violations = [*_task_violations(request.task_type), *page_size_violations(request.page_size)]
        try:
            after_token(request)
        except DomainError as error:
            violations += error.violations
        if violations:
            raise invalid_request(violations)
        if request.framework:
            catalogue = await self._catalogues.of_framework(request.framework)
        else:
            catalogue = await self._catalogues.everything()
        page = page_of(matching(catalogue.models, request), request)
        return registry_pb2.ListModelsResponse(
            models=page.items,
            next_page_token=page.next_page_token,
            total_size=page.total_size,
            problems=catalogue.problems,
        )

    async def model(self, framework: str, model_name: str) -> registry_pb2.Model:
        """One model, its parameters counted.

        Raises DomainError INVALID_REQUEST, FRAMEWORK_NOT_FOUND, FRAMEWORK_UNAVAILABLE, MODEL_NOT_FOUND (it names the
        nearest models).
        """
        _check([*_required("framework", framework), *_required("model_name", model_name)])
        try:
            answer = await first_answer(
                self._fleet.serving(framework),
                lambda stub, timeout: stub.GetModel(
                    trainer_pb2.GetModelRequest(model_name=model_name), timeout=timeout
                ),
            )
        except DomainError as error:
            if error.reason != "MODEL_NOT_FOUND":
                raise
            raise await self._model_not_found(framework, model_name) from error
        answer.model.framework = framework
        return answer.model

    async def config_schema(
        self, framework: str, task_type: common_pb2.TaskType
    ) -> registry_pb2.GetConfigSchemaResponse:
        """Fields and presets of a task, unspecified: the framework's first.

        Raises DomainError INVALID_REQUEST, FRAMEWORK_NOT_FOUND, FRAMEWORK_UNAVAILABLE.
        """
        _check([*_required("framework", framework), *_task_violations(task_type)])
        answer = await first_answer(
            self._fleet.serving(framework),
            lambda stub, timeout: stub.GetConfigSchema(
                trainer_pb2.GetConfigSchemaRequest(task_type=task_type), timeout=timeout
            ),
        )
        return registry_pb2.GetConfigSchemaResponse(
            framework=framework, task_type=answer.task_type, fields=answer.fields, presets=answer.presets
        )

    async def validate_config(self, request: registry_pb2.ValidateConfigRequest) -> registry_pb2.ValidateConfigResponse:
        """What is wrong with a configuration, an unknown model included, or what it becomes.

        Raises DomainError INVALID_REQUEST, FRAMEWORK_NOT_FOUND, FRAMEWORK_UNAVAILABLE.
        """
        _check([*_required("framework", request.framework), *_task_violations(request.task_type)])
        asked = trainer_pb2.ValidateConfigRequest(
            task_type=request.task_type, model_name=request.model_name, config=request.config
        )
        try:
            answer = await first_answer(
                self._fleet.serving(request.framework),
                lambda stub, timeout: stub.ValidateConfig(asked, timeout=timeout),
            )
        except DomainError as error:
            if error.reason != "MODEL_NOT_FOUND":
                raise
            wrong = common_pb2.FieldViolation(field="model_name", description=error.message)
            return registry_pb2.ValidateConfigResponse(violations=[wrong])
        if answer.violations:
            return registry_pb2.ValidateConfigResponse(violations=answer.violations)
        return registry_pb2.ValidateConfigResponse(config=answer.config)

    async def _model_not_found(self, framework: str, model_name: str) -> DomainError:
        names = [model.model_name for model in (await self._catalogues.of_framework(framework)).models]
        # In a thread: comparing with more than a thousand names takes tens of milliseconds.
        nearest = await asyncio.to_thread(get_close_matches, model_name[:_MAX_COMPARED_CHARACTERS], names, 5, 0.5)
        hint = f" Nearest: {', '.join(nearest)}." if nearest else " ListModels tells what it offers."
        return DomainError(
            "MODEL_NOT_FOUND",
            f"{framework} offers no model {model_name[:_MAX_COMPARED_CHARACTERS]!r}.{hint}",
            metadata={
                "framework": framework,
                "model_name": model_name[:_MAX_COMPARED_CHARACTERS],
                "nearest": ", ".join(nearest),
            },
        )


def _framework(name: str, trainers: Sequence[Trainer]) -> registry_pb2.Framework:
    healthy = [trainer for trainer in trainers if trainer.healthy]
    told = [trainer.description for trainer in healthy or trainers if trainer.description is not None]
    return registry_pb2.Framework(
        framework=name,
        versions=told[0].versions,
        task_types=sorted({task_type for description in told for task_type in description.task_types}),
        healthy_trainers=len(healthy),
        free_slots=sum(description.free_slots for description in told) if healthy else 0,
        unavailable_reason="" if healthy else "; ".join(f"{trainer.address} {trainer.problem}" for trainer in trainers),
    )


def _check(violations: Sequence[Violation]) -> None:
    if violations:
        raise invalid_request(violations)


def _required(field: str, value: str) -> list[Violation]:
    return [] if value else [Violation(field, "is required")]


def _task_violations(task_type: int) -> list[Violation]:
    if TASK_TYPES.name(task_type) is not None:
        return []
    return [Violation("task_type", f"{task_type} is not a task type; choose from {', '.join(TASK_TYPES.names)}")]
