"""What a framework offers, asked for in threads: importing one takes seconds, and the event loop must not wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import structlog

from rpc.errors import DomainError, invalid_request
from trainer.adapter import (
    Adapter,
    ChecksJobs,
    ConfigSchema,
    ConfigValue,
    JobDraft,
    ModelInfo,
    PretrainedUnavailable,
    Violation,
)
from trainer.nearest import nearest_names
from trainer.validation import check_config
from visionmesh.errors import Violation as RequestViolation

logger = structlog.get_logger()

_THREADS = 4
_NEAREST_NAMES = 3

Result = TypeVar("Result")


@dataclass(frozen=True)
class JobCheck:
    """What is wrong with a job, and what it becomes. ``config`` is empty when there are violations.

    ``task_type`` is the task that was checked; ``default_image_size`` in pixels is 0 without a model;
    ``metrics`` are those by which a checkpoint can be best ("max" or "min"), the default first.
    """

    violations: tuple[Violation, ...]
    config: Mapping[str, ConfigValue]
    task_type: str
    default_image_size: int
    metrics: Mapping[str, str]


class Catalogue:
    """An adapter's catalogue. Its methods belong to one event loop; all but ``start`` wait for the first import."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="catalogue")
        self._import: asyncio.Task[None] | None = None
        self.framework = adapter.framework
        self.versions = dict(adapter.versions())
        self.task_types = tuple(adapter.task_types())

    def start(self) -> None:
        """Begin to import the framework and to read its catalogue."""
        self._import = asyncio.get_running_loop().create_task(self._preload())

    async def ready(self) -> None:
        """Wait until the framework is imported, so that no two threads import it at once."""
        if self._import is not None:
            await asyncio.shield(self._import)

    def close(self) -> None:
        """Take no more calls. Waits for nothing: an import ends when it does."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def list_models(self) -> tuple[ModelInfo, ...]:
        """Return the whole catalogue."""
        return await self._run(lambda: tuple(self._adapter.list_models()))

    async def get_model(self, name: str) -> ModelInfo:
        """Return one model, its parameters counted. Raises MODEL_NOT_FOUND with the nearest names."""

        def get() -> ModelInfo:
            try:
                return self._adapter.get_model(name)
            except KeyError as error:
                raise self._model_not_found(name) from error

        return await self._run(get)

    async def config_schema(self, task_type: str | None) -> tuple[str, ConfigSchema]:
        """Return a task, the framework's first when None, and its schema. Raises INVALID_REQUEST for another's task."""
        task = task_type or self.task_types[0]
        if task not in self.task_types:
            raise invalid_request([RequestViolation("task_type", _wrong_task(self.framework, self.task_types))])
        return task, await self._run(lambda: self._adapter.config_schema(task))

    async def check_job(
        self, task_type: str | None, job: JobDraft, config: Mapping[str, object], pretrained: bool
    ) -> JobCheck:
        """Check a job; weights are asked for when nothing else is wrong.

        Without a task (None), the model's first is checked, or the framework's when no model is named; a wrong
        task is a violation, and the configuration is checked for that same task. Raises MODEL_NOT_FOUND with the
        nearest names, and PRETRAINED_UNAVAILABLE.
        """
        return await self._run(lambda: self._check_job(task_type, job, config, pretrained))

    def _check_job(
        self, task_type: str | None, job: JobDraft, config: Mapping[str, object], pretrained: bool
    ) -> JobCheck:
        model_name = job.model_name
        model = self._find_model(model_name) if model_name else None
        possible = model.task_types if model else self.task_types
        violations: list[Violation] = []
        if task_type is not None and task_type not in possible:
            violations.append(Violation("task_type", _wrong_task(model_name or self.framework, possible)))
        task = task_type if task_type in possible else possible[0]
        checked = check_config(self._adapter.config_schema(task), config)
        violations.extend(checked.violations)
        if not violations and isinstance(self._adapter, ChecksJobs):
            violations.extend(self._adapter.check_job(task, job, checked.config))
        if pretrained and model_name and not violations:
            self._check_pretrained(model_name)
        return JobCheck(
            violations=tuple(violations),
            config={} if violations else checked.config,
            task_type=task,
            default_image_size=model.default_image_size if model else 0,
            metrics=self._adapter.primary_metrics(task),
        )

    def _find_model(self, name: str) -> ModelInfo:
        for model in self._adapter.list_models():
            if model.name == name:
                return model
        # An adapter may know more names than it lists, such as those of single sets of weights.
        try:
            return self._adapter.get_model(name)
        except KeyError as error:
            raise self._model_not_found(name) from error

    def _check_pretrained(self, model_name: str) -> None:
        try:
            self._adapter.check_pretrained(model_name)
        except PretrainedUnavailable as error:
            raise DomainError(
                "PRETRAINED_UNAVAILABLE",
                str(error),
                metadata={"framework": self.framework, "model_name": model_name[:200]},
            ) from error

    def _model_not_found(self, name: str) -> DomainError:
        nearest = nearest_names(name, [model.name for model in self._adapter.list_models()], _NEAREST_NAMES)
        hint = f"Did you mean {' or '.join(nearest)}?" if nearest else "ListModels lists those there are."
        shown = name[:200]
        return DomainError(
            "MODEL_NOT_FOUND",
            f'{self.framework} has no model "{shown}". {hint}',
            metadata={"framework": self.framework, "model_name": shown, "nearest": ", ".join(nearest)},
        )

    async def _preload(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            models = await loop.run_in_executor(self._threads, self._adapter.list_models)
        except Exception:
            # The server answers for its runs all the same; whoever needs the framework gets the error again.
            logger.exception("the framework cannot be imported", framework=self.framework)
        else:
            logger.info("framework imported", framework=self.framework, models=len(models))

    async def _run(self, call: Callable[[], Result]) -> Result:
        await self.ready()
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


def _wrong_task(of: str, possible: tuple[str, ...]) -> str:
    return f"It must be a task that {of} can be trained for: {', '.join(possible)}."
