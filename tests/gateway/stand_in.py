"""A trainer of a framework that exists for these tests: it says what is said of images by counting bytes.

It is a real server of TrainerService with the mesh's token and errors; only the framework behind it is a stand-in.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import count

from google.protobuf import struct_pb2

from rpc.errors import DomainError
from rpc.interceptors import Context, ErrorInterceptor, MeshAuthInterceptor
from rpc.server import HealthyServer, create_server
from rpc.times import now_timestamp
from visionmesh.errors import Violation
from visionmesh.mesh.v1 import run_pb2, trainer_pb2, trainer_service_pb2_grpc
from visionmesh.v1 import common_pb2, inference_pb2, registry_pb2

MESH_TOKEN = "mesh-token-of-these-tests"
CLASSIFICATION = common_pb2.TASK_TYPE_IMAGE_CLASSIFICATION
DETECTION = common_pb2.TASK_TYPE_OBJECT_DETECTION
# By task: the metrics that a checkpoint can be best by (true: larger is better), the default first.
METRICS = {
    CLASSIFICATION: {"accuracy": True, "val_loss": False},
    DETECTION: {"mAP50-95": True, "mAP50": True},
}
_instances = count(1)


def model(name: str, *, pretrained: bool = False, tasks: Sequence[common_pb2.TaskType] = ()) -> registry_pb2.Model:
    """A model of a stand-in catalogue."""
    return registry_pb2.Model(
        model_name=name,
        task_types=tasks or [CLASSIFICATION],
        default_image_size=32,
        pretrained_tags=["bytes1k"] if pretrained else [],
    )


class StandInTrainer(trainer_service_pb2_grpc.TrainerServiceServicer):
    """One trainer; ``asked`` counts its calls by name, ``fails`` raises an error in place of the named call.

    A stream of predictions counts what it read in ``streamed`` and answers while ``answers_streams`` is set.
    It starts no agents: ``runs`` keeps what it was asked to start and ``tokens`` the tokens that came with each asking,
    and the tests play the agents. While ``answers_starts`` is cleared, a start is done and its answer held back.
    """

    def __init__(
        self, framework: str, models: Sequence[registry_pb2.Model], *, free_slots: int = 1, slots: int = 1000
    ) -> None:
        self.framework = framework
        self.models = list(models)
        self.free_slots = free_slots
        self.slots = slots
        self.address = "127.0.0.1:0"
        self.asked: Counter[str] = Counter()
        self.fails: dict[str, Exception] = {}
        self.predict_seconds = 0.0
        self.predict_deadlines: list[float] = []
        self.validate_requests: list[trainer_pb2.ValidateConfigRequest] = []
        self.predict_requests: list[trainer_pb2.PredictRequest] = []
        self.predicting = asyncio.Event()
        self.given_up = asyncio.Event()
        self.streamed = 0
        self.answers_streams = asyncio.Event()
        self.answers_streams.set()
        self.runs: dict[str, run_pb2.RunSpec] = {}
        self.tokens: dict[str, list[str]] = {}
        self.stopped: list[trainer_pb2.StopRunRequest] = []
        self.answers_starts = asyncio.Event()
        self.answers_starts.set()
        self._loaded: dict[str, run_pb2.CheckpointRef] = {}
        self._instance_id = ""
        self._served: HealthyServer | None = None

    async def start(self) -> None:
        """Serve, on the same port as before when it was started before."""
        self._instance_id = f"instance-{next(_instances)}"
        self._served = create_server(
            [
                (
                    "visionmesh.mesh.v1.TrainerService",
                    lambda server: trainer_service_pb2_grpc.add_TrainerServiceServicer_to_server(self, server),
                )
            ],
            interceptors=[ErrorInterceptor(), MeshAuthInterceptor(MESH_TOKEN)],
            max_message_bytes=64 << 20,
        )
        port = self._served.server.add_insecure_port(self.address)
        self.address = f"127.0.0.1:{port}"
        await self._served.serve()

    async def stop(self) -> None:
        """Go down at once; can be called twice."""
        if self._served is not None:
            await self._served.drain(0)
        self._served = None

    def _ask(self, name: str) -> None:
        self.asked[name] += 1
        if name in self.fails:
            raise self.fails[name]

    async def Describe(self, request: trainer_pb2.DescribeRequest, context: Context) -> trainer_pb2.DescribeResponse:
        self._ask("Describe")
        tasks = {task_type for item in self.models for task_type in item.task_types}
        return trainer_pb2.DescribeResponse(
            framework=self.framework,
            versions={self.framework: "1.0"},
            task_types=sorted(tasks),
            slots=self.slots,
            free_slots=self.free_slots,
            instance_id=self._instance_id,
        )

    async def ListModels(
        self, request: trainer_pb2.ListModelsRequest, context: Context
    ) -> trainer_pb2.ListModelsResponse:
        self._ask("ListModels")
        return trainer_pb2.ListModelsResponse(models=self.models)

    async def GetModel(self, request: trainer_pb2.GetModelRequest, context: Context) -> trainer_pb2.GetModelResponse:
        self._ask("GetModel")
        found = registry_pb2.Model()
        found.CopyFrom(self._model(request.model_name))
        found.parameters = 1000
        return trainer_pb2.GetModelResponse(model=found)

    async def GetConfigSchema(
        self, request: trainer_pb2.GetConfigSchemaRequest, context: Context
    ) -> trainer_pb2.GetConfigSchemaResponse:
        self._ask("GetConfigSchema")
        field = registry_pb2.ConfigField(
            name="counter.step",
            type=registry_pb2.CONFIG_FIELD_TYPE_INTEGER,
            label="Step",
            default_value=struct_pb2.Value(number_value=1),
        )
        return trainer_pb2.GetConfigSchemaResponse(task_type=request.task_type or CLASSIFICATION, fields=[field])

    async def ValidateConfig(
        self, request: trainer_pb2.ValidateConfigRequest, context: Context
    ) -> trainer_pb2.ValidateConfigResponse:
        self._ask("ValidateConfig")
        self.validate_requests.append(request)
        chosen = self._model(request.model_name) if request.model_name else self.models[0]
        task_type = request.task_type or chosen.task_types[0]
        given = dict(request.config)
        wrong = [
            common_pb2.FieldViolation(field=f"advanced_config.{name}", description="is unknown")
            for name in given
            if name != "counter.step"
        ]
        if task_type not in chosen.task_types:
            wrong.append(common_pb2.FieldViolation(field="task_type", description="is none of the model's"))
        config = struct_pb2.Struct()
        config.update({"counter.step": 1, **given})
        metrics = METRICS.get(task_type, {})
        return trainer_pb2.ValidateConfigResponse(
            violations=wrong,
            config=None if wrong else config,
            task_type=task_type,
            default_image_size=chosen.default_image_size if request.model_name else 0,
            primary_metric=next(iter(metrics), ""),
            metrics=metrics,
        )

    async def Predict(self, request: trainer_pb2.PredictRequest, context: Context) -> trainer_pb2.PredictResponse:
        self._ask("Predict")
        self.predict_deadlines.append(context.time_remaining())
        self.predict_requests.append(request)
        self.predicting.set()
        try:
            await asyncio.sleep(self.predict_seconds)
        except asyncio.CancelledError:
            self.given_up.set()
            raise
        self._loaded[request.checkpoint.digest] = request.checkpoint
        share = request.image_bytes.count(b"\xff") / len(request.image_bytes)
        answers = [
            inference_pb2.Classification(label="bright", label_id=1, confidence=share),
            inference_pb2.Classification(label="dark", label_id=0, confidence=1 - share),
        ]
        answers.sort(key=lambda item: -item.confidence)
        return trainer_pb2.PredictResponse(
            prediction=inference_pb2.PredictResponse(
                task_type=CLASSIFICATION,
                model_name=self.models[0].model_name,
                classifications=answers[: request.top_k],
                image_width=len(request.image_bytes),
                image_height=1,
            )
        )

    async def ListLoadedModels(
        self, request: trainer_pb2.ListLoadedModelsRequest, context: Context
    ) -> trainer_pb2.ListLoadedModelsResponse:
        self._ask("ListLoadedModels")
        return trainer_pb2.ListLoadedModelsResponse(
            models=[
                inference_pb2.LoadedModel(
                    framework=self.framework,
                    model_name=self.models[0].model_name,
                    checkpoint_id=checkpoint.checkpoint_id,
                    job_id=checkpoint.job_id,
                    memory_bytes=4000,
                    last_used_time=now_timestamp(),
                    runtime="bytes",
                )
                for checkpoint in self._loaded.values()
            ]
        )

    async def StartRun(self, request: trainer_pb2.StartRunRequest, context: Context) -> trainer_pb2.StartRunResponse:
        self._ask("StartRun")
        self.runs.setdefault(request.run.run_id, request.run)
        self.tokens.setdefault(request.run.run_id, []).append(request.run_token)
        await self.answers_starts.wait()
        return trainer_pb2.StartRunResponse()

    async def StopRun(self, request: trainer_pb2.StopRunRequest, context: Context) -> trainer_pb2.StopRunResponse:
        self._ask("StopRun")
        self.stopped.append(request)
        return trainer_pb2.StopRunResponse(found=request.run_id in self.runs)

    async def ListRuns(self, request: trainer_pb2.ListRunsRequest, context: Context) -> trainer_pb2.ListRunsResponse:
        self._ask("ListRuns")
        return trainer_pb2.ListRunsResponse(
            runs=[trainer_pb2.RunStatus(run_id=run.run_id, job_id=run.job_id, alive=True) for run in self.runs.values()]
        )

    async def PredictStream(
        self, request_iterator: AsyncIterator[trainer_pb2.PredictStreamRequest], context: Context
    ) -> AsyncIterator[trainer_pb2.PredictStreamResponse]:
        self._ask("PredictStream")
        try:
            async for message in request_iterator:
                self.streamed += 1
                await self.answers_streams.wait()
                if message.request.image_bytes == b"the last":
                    raise DomainError("SHUTTING_DOWN", "The trainer is shutting down.")
                if not message.request.image_bytes.strip(b"\xff\x00"):
                    answer = await self.Predict(message.request, context)
                    yield trainer_pb2.PredictStreamResponse(prediction=answer.prediction)
                else:
                    yield trainer_pb2.PredictStreamResponse(failure=unreadable_image().failure())
        except asyncio.CancelledError:
            self.given_up.set()
            raise

    def _model(self, name: str) -> registry_pb2.Model:
        for item in self.models:
            if item.model_name == name:
                return item
        raise DomainError("MODEL_NOT_FOUND", f"There is no model {name[:100]!r}.")


def unreadable_image() -> DomainError:
    """What a trainer says of bytes that are no image."""
    return DomainError(
        "IMAGE_UNREADABLE",
        "The bytes are not an image.",
        violations=[Violation("image_bytes", "is not an image that can be read")],
    )


def token_of(trainers: Iterable[StandInTrainer], run: run_pb2.RunSpec) -> str:
    """The token that came with the last start of a run, whichever of the trainers has it."""
    given = [trainer.tokens[run.run_id] for trainer in trainers if run.run_id in trainer.tokens]
    return given[-1][-1] if given else "the-token-of-no-run"
