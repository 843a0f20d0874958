"""The TrainerService: reads requests, calls, writes responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, TypeAlias, TypeVar

import structlog
from grpc.aio import ServicerContext

from rpc.errors import DomainError, invalid_request
from rpc.in_order import Window, answer_in_order
from storage.objects.errors import StoreUnavailable
from trainer.catalogue import Catalogue
from trainer.converters import (
    checkpoint_source,
    config_to_struct,
    loaded_model_message,
    model_message,
    predict_response,
    schema_message,
    struct_to_python,
    task_type_name,
    task_type_value,
    violation_messages,
)
from trainer.predictors import PredictorPool
from trainer.requests import check_start, job_draft, predict_options
from trainer.runs.launcher import LocalLauncher
from visionmesh.errors import Violation
from visionmesh.mesh.v1 import trainer_pb2
from visionmesh.mesh.v1.trainer_service_pb2_grpc import TrainerServiceServicer
from visionmesh.v1 import common_pb2

logger = structlog.get_logger()

# The stub's type is generic, the class at run time is not: hence the quotes.
Context: TypeAlias = "ServicerContext[Any, Any]"

Result = TypeVar("Result")

# Images of one stream in memory, in bytes.
STREAM_BYTES = 32 << 20


class TrainerServicer(TrainerServiceServicer):
    """Serves one adapter."""

    def __init__(
        self, catalogue: Catalogue, launcher: LocalLauncher, predictors: PredictorPool, *, slots: int, instance_id: str
    ) -> None:
        self._catalogue = catalogue
        self._launcher = launcher
        self._predictors = predictors
        self._slots = slots
        self._instance_id = instance_id
        # Of its own, so that no slow call of another kind keeps a run or a heartbeat waiting.
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="launcher")
        # Enough to fill a batch while another is computed and the next ones are prepared.
        self._window = Window(predictors.useful_calls, STREAM_BYTES)
        self._stopping = asyncio.Event()

    @property
    def draining(self) -> bool:
        """Whether ``drain`` was called."""
        return self._stopping.is_set()

    def drain(self) -> None:
        """Refuse new runs, and read no more of any stream."""
        self._stopping.set()

    async def Describe(self, request: trainer_pb2.DescribeRequest, context: Context) -> trainer_pb2.DescribeResponse:
        return trainer_pb2.DescribeResponse(
            framework=self._catalogue.framework,
            versions=self._catalogue.versions,
            task_types=[task_type_value(name) for name in self._catalogue.task_types],
            slots=self._slots,
            free_slots=0 if self.draining else await self._launch(self._launcher.free_slots),
            instance_id=self._instance_id,
        )

    async def ListModels(
        self, request: trainer_pb2.ListModelsRequest, context: Context
    ) -> trainer_pb2.ListModelsResponse:
        models = await self._catalogue.list_models()
        return trainer_pb2.ListModelsResponse(
            models=[model_message(model, self._catalogue.framework) for model in models]
        )

    async def GetModel(self, request: trainer_pb2.GetModelRequest, context: Context) -> trainer_pb2.GetModelResponse:
        if not request.model_name:
            raise invalid_request([Violation("model_name", "It is required.")])
        model = await self._catalogue.get_model(request.model_name)
        return trainer_pb2.GetModelResponse(model=model_message(model, self._catalogue.framework))

    async def GetConfigSchema(
        self, request: trainer_pb2.GetConfigSchemaRequest, context: Context
    ) -> trainer_pb2.GetConfigSchemaResponse:
        task_type, schema = await self._catalogue.config_schema(_task_type(request.task_type))
        return schema_message(task_type, schema)

    async def ValidateConfig(
        self, request: trainer_pb2.ValidateConfigRequest, context: Context
    ) -> trainer_pb2.ValidateConfigResponse:
        check = await self._catalogue.check_job(
            _task_type(request.task_type), job_draft(request), struct_to_python(request.config), request.pretrained
        )
        return trainer_pb2.ValidateConfigResponse(
            violations=violation_messages(check.violations),
            config=config_to_struct(check.config),
            task_type=task_type_value(check.task_type),
            default_image_size=check.default_image_size,
            primary_metric=next(iter(check.metrics)),
            metrics={name: mode == "max" for name, mode in check.metrics.items()},
        )

    async def StartRun(self, request: trainer_pb2.StartRunRequest, context: Context) -> trainer_pb2.StartRunResponse:
        if self.draining:
            raise DomainError("SHUTTING_DOWN", "The trainer is shutting down; start the run on another.")
        check_start(request)
        await self._launch(lambda: self._launcher.start(request.run, request.run_token))
        logger.info("run started", run_id=request.run.run_id, job_id=request.run.job_id)
        return trainer_pb2.StartRunResponse()

    async def StopRun(self, request: trainer_pb2.StopRunRequest, context: Context) -> trainer_pb2.StopRunResponse:
        found = await self._launch(lambda: self._launcher.stop(request.run_id, kill=request.kill))
        logger.info("run told to stop", run_id=request.run_id, kill=request.kill, found=found)
        return trainer_pb2.StopRunResponse(found=found)

    async def ListRuns(self, request: trainer_pb2.ListRunsRequest, context: Context) -> trainer_pb2.ListRunsResponse:
        return trainer_pb2.ListRunsResponse(runs=await self._launch(self._launcher.statuses))

    async def Predict(self, request: trainer_pb2.PredictRequest, context: Context) -> trainer_pb2.PredictResponse:
        options = predict_options(request)
        answer = await self._predictors.predict(checkpoint_source(request.checkpoint), request.image_bytes, options)
        return predict_response(answer)

    async def PredictStream(
        self, request_iterator: AsyncIterator[trainer_pb2.PredictStreamRequest], context: Context
    ) -> AsyncIterator[trainer_pb2.PredictStreamResponse]:
        async def begin(
            message: trainer_pb2.PredictStreamRequest,
        ) -> asyncio.Future[trainer_pb2.PredictStreamResponse]:
            return asyncio.ensure_future(self._answer(message.request))

        answers = answer_in_order(
            request_iterator,
            begin,
            window=self._window,
            size_bytes=lambda message: len(message.request.image_bytes),
            stopping=self._stopping,
        )
        async with aclosing(answers):
            async for answer in answers:
                yield answer

    async def ListLoadedModels(
        self, request: trainer_pb2.ListLoadedModelsRequest, context: Context
    ) -> trainer_pb2.ListLoadedModelsResponse:
        return trainer_pb2.ListLoadedModelsResponse(
            models=[loaded_model_message(loaded, self._catalogue.framework) for loaded in self._predictors.loaded()]
        )

    async def _answer(self, request: trainer_pb2.PredictRequest) -> trainer_pb2.PredictStreamResponse:
        """Answer one image of a stream, or say why it cannot be."""
        try:
            options = predict_options(request)
            source = checkpoint_source(request.checkpoint)
            answer = await self._predictors.predict(source, request.image_bytes, options, patient=True)
        except DomainError as error:
            return trainer_pb2.PredictStreamResponse(failure=error.failure())
        except StoreUnavailable:
            raise  # the others cannot be answered either
        except Exception:
            logger.exception("prediction failed", checkpoint_id=request.checkpoint.checkpoint_id)
            said = "The model failed on this image; the trainer's log tells more."
            return trainer_pb2.PredictStreamResponse(failure=DomainError("INTERNAL", said).failure())
        return trainer_pb2.PredictStreamResponse(prediction=predict_response(answer).prediction)

    async def _launch(self, call: Callable[[], Result]) -> Result:
        # Shielded: a start that has begun finishes, whether or not its caller still waits.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._threads, call))


def _task_type(value: int) -> str | None:
    """Return the name of a task, None when unspecified. Raises INVALID_REQUEST for a number without a name."""
    name = task_type_name(value)
    if name is None and value != common_pb2.TASK_TYPE_UNSPECIFIED:
        raise invalid_request([Violation("task_type", f"There is no task of number {value}.")])
    return name
