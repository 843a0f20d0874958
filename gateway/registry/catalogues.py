"""Whole catalogues of the trainers, kept for as long as a trainer is the same process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway.fleet import Fleet, Trainer
from gateway.problems import framework_problem
from rpc.errors import DomainError
from visionmesh.mesh.v1 import trainer_pb2
from visionmesh.v1 import common_pb2, registry_pb2


@dataclass(frozen=True)
class Catalogue:
    """Models sorted by (framework, model_name), and why others are missing."""

    models: tuple[registry_pb2.Model, ...]
    problems: tuple[common_pb2.FrameworkProblem, ...] = ()


class Catalogues:
    """The catalogues of a fleet. A trainer is asked once per start; one that is down counts as out of reach."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._kept: dict[str, tuple[str, tuple[registry_pb2.Model, ...]]] = {}  # address -> (instance_id, models)

    async def everything(self) -> Catalogue:
        """The models of every framework; a trainer that never answered is a problem, whatever it serves."""
        found = await asyncio.gather(*(self.of_framework(name) for name in self._fleet.frameworks()))
        silent = [framework_problem(trainer) for trainer in self._silent()]
        return Catalogue(
            tuple(model for catalogue in found for model in catalogue.models),
            tuple(problem for catalogue in found for problem in catalogue.problems) + tuple(silent),
        )

    async def of_framework(self, framework: str) -> Catalogue:
        """The models of one framework; problems only when no trainer of it tells them.

        Raises DomainError FRAMEWORK_NOT_FOUND when every trainer is known and none serves it.
        """
        trainers = [trainer for trainer in self._fleet.trainers if trainer.framework == framework]
        if not trainers and not self._silent():
            self._fleet.serving(framework)  # raises: nobody serves it
        problems = []
        # Always in the same order, so that the pages of a listing come from the same replica.
        for trainer in sorted(trainers or self._silent(), key=lambda trainer: trainer.address):
            if not trainer.healthy:
                problems.append(framework_problem(trainer))
                continue
            try:
                return Catalogue(await self._models(trainer))
            except DomainError as error:
                problems.append(framework_problem(trainer, error.message))
        return Catalogue((), tuple(problems))

    async def _models(self, trainer: Trainer) -> tuple[registry_pb2.Model, ...]:
        framework = trainer.framework
        # Taken before the call: if the trainer starts anew meanwhile, its next instance is asked again.
        instance_id = trainer.description.instance_id if trainer.description is not None else ""
        kept_id, models = self._kept.get(trainer.address, ("", ()))
        if instance_id and kept_id == instance_id:
            return models
        answer = await trainer.call(
            lambda stub, timeout: stub.ListModels(trainer_pb2.ListModelsRequest(), timeout=timeout)
        )
        for model in answer.models:
            model.framework = framework
        models = tuple(sorted(answer.models, key=lambda model: model.model_name))
        self._kept[trainer.address] = (instance_id, models)
        return models

    def _silent(self) -> list[Trainer]:
        return [trainer for trainer in self._fleet.trainers if not trainer.framework]
