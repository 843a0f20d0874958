"""What inference answers, without transport."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import ExitStack, aclosing

from sqlalchemy.orm import Session

from gateway.checkpoint_readers import CheckpointReaders
from gateway.events.kept_reads import KeptReads
from gateway.failover import first_answer
from gateway.fleet import Fleet, Trainer
from gateway.inference.checks import check_predict
from gateway.inference.converters import trainer_request
from gateway.inference.images import DatasetImages
from gateway.inference.lookup import TrainedModel, by_checkpoint, by_job
from gateway.inference.placement import ranked
from gateway.inference.streams import PredictionStream, Question
from gateway.problems import framework_problem
from rpc.errors import DomainError
from rpc.in_order import Window, answer_in_order
from storage.database.engine import Database
from storage.database.jobs import JobRepository
from storage.objects.store import ObjectStore
from visionmesh.mesh.v1 import trainer_pb2
from visionmesh.v1 import inference_pb2

# What a trainer has in memory it tells at once; one that does not is reported and not waited for.
LIST_TIMEOUT_SECONDS = 5.0

# What of one stream may be on its way: enough to keep a trainer's batches full, and a bound on memory.
STREAM_IMAGES = 64
STREAM_BYTES = 32 << 20
# A file of a dataset is read after its place is taken: a photo of a common size is reckoned with.
DATASET_FILE_BYTES = 4 << 20


class InferenceService:
    """Predictions with the checkpoints of a caller's jobs."""

    def __init__(
        self,
        database: Database,
        fleet: Fleet,
        store: ObjectStore,
        *,
        trained: KeptReads[TrainedModel],
        max_image_bytes: int,
        readers: CheckpointReaders | None = None,
    ) -> None:
        """``readers`` learns which checkpoints are predicted with."""
        self._database = database
        self._readers = readers or CheckpointReaders()
        self._trained = trained
        self._fleet = fleet
        self._images = DatasetImages(database, store, max_image_bytes)
        self._max_image_bytes = max_image_bytes
        self._window = Window(STREAM_IMAGES, max(STREAM_BYTES, max_image_bytes))
        self._stopping = asyncio.Event()

    def stop_streams(self) -> None:
        """Read no more of any stream; each ends with SHUTTING_DOWN once what it sent is answered."""
        self._stopping.set()

    def close(self) -> None:
        """Take no more work."""
        self._images.close()

    async def predict(
        self, request: inference_pb2.PredictRequest, user_id: str, timeout_seconds: float | None
    ) -> inference_pb2.PredictResponse:
        """Predicts one image; ``timeout_seconds`` is what is left of the caller's deadline, None without one.

        Raises DomainError INVALID_REQUEST, MESSAGE_TOO_LARGE, JOB_NOT_FOUND, CHECKPOINT_NOT_FOUND, NO_CHECKPOINT,
        DATASET_NOT_FOUND, FILE_NOT_FOUND, STORAGE_CORRUPT, FRAMEWORK_NOT_FOUND, FRAMEWORK_UNAVAILABLE, and what the
        trainer says of the image.
        """
        deadline = time.monotonic() + timeout_seconds if timeout_seconds is not None else None
        check_predict(request, self._max_image_bytes)
        trained = await self._find(request, user_id)
        with self._readers.reading(trained.checkpoint.storage_path):
            asked = trainer_request(request, await self._image(request, user_id), trained.checkpoint)
            answer = await first_answer(
                ranked(trained.checkpoint.digest, self._fleet.serving(trained.job.framework)),
                lambda stub, timeout: stub.Predict(
                    asked, timeout=timeout if deadline is None else max(0.0, deadline - time.monotonic())
                ),
            )
        prediction = answer.prediction
        prediction.job_id = trained.job.id
        prediction.checkpoint_id = trained.checkpoint.id
        return prediction

    async def predict_stream(
        self,
        messages: AsyncIterator[inference_pb2.PredictStreamRequest],
        user_id: str,
        timeout_seconds: float | None,
    ) -> AsyncGenerator[inference_pb2.PredictStreamResponse, None]:
        """Answers each image in order, or says why it cannot.

        A job or checkpoint is looked up once: the stream keeps the checkpoint that the job had then. Raises
        DomainError FRAMEWORK_UNAVAILABLE and SHUTTING_DOWN, what came before being answered.
        """
        found: dict[tuple[str, str], TrainedModel] = {}
        in_use = ExitStack()  # of the trainers' caches it may be gone before the next image

        async def question(request: inference_pb2.PredictRequest) -> Question:
            check_predict(request, self._max_image_bytes)
            named = (request.job_id, request.checkpoint_id)
            if named not in found:
                found[named] = await self._find(request, user_id)
                in_use.enter_context(self._readers.reading(found[named].checkpoint.storage_path))
            trained = found[named]
            return trained, trainer_request(request, await self._image(request, user_id), trained.checkpoint)

        stream = PredictionStream(question, self._place, timeout_seconds)
        answers = answer_in_order(
            messages,
            stream.begin,
            window=self._window,
            size_bytes=_size_bytes,
            stopping=self._stopping,
        )
        try:
            async with aclosing(answers):
                async for answer in answers:
                    yield answer
        finally:
            in_use.close()
            await stream.close()

    async def loaded_models(self, user_id: str) -> inference_pb2.ListLoadedModelsResponse:
        """The models in memory that came from the user's jobs, and the trainers that do not answer."""
        answers = await asyncio.gather(*(_loaded(trainer) for trainer in self._fleet.trainers))
        models = [model for answer in answers for model in answer.models]
        job_ids = {model.job_id for model in models}
        owned = await self._database.read(lambda session: _owned(session, job_ids, user_id)) if job_ids else set()
        mine = sorted((model for model in models if model.job_id in owned), key=_place)
        return inference_pb2.ListLoadedModelsResponse(
            models=mine,
            problems=[problem for answer in answers for problem in answer.problems],
        )

    async def _find(self, request: inference_pb2.PredictRequest, user_id: str) -> TrainedModel:
        async def read() -> TrainedModel:
            return await self._database.read(lambda session: _find(session, request, user_id))

        if request.WhichOneof("model") == "job_id":
            return await self._trained.get(request.job_id, user_id, read)
        return await read()

    async def _image(self, request: inference_pb2.PredictRequest, user_id: str) -> bytes:
        if request.WhichOneof("image") == "dataset_file":
            return await self._images.read(request.dataset_file, user_id)
        return request.image_bytes

    def _place(self, trained: TrainedModel) -> Trainer:
        return ranked(trained.checkpoint.digest, self._fleet.serving(trained.job.framework))[0]


def _size_bytes(message: inference_pb2.PredictStreamRequest) -> int:
    if message.request.WhichOneof("image") == "dataset_file":
        return DATASET_FILE_BYTES
    return len(message.request.image_bytes)


def _find(session: Session, request: inference_pb2.PredictRequest, user_id: str) -> TrainedModel:
    if request.WhichOneof("model") == "job_id":
        return by_job(session, request.job_id, user_id)
    return by_checkpoint(session, request.checkpoint_id, user_id)


def _owned(session: Session, job_ids: Collection[str], user_id: str) -> set[str]:
    jobs = JobRepository(session)
    return {job_id for job_id in job_ids if jobs.owned(job_id, user_id) is not None}


def _place(model: inference_pb2.LoadedModel) -> tuple[str, str, str, str]:
    return model.framework, model.model_name, model.checkpoint_id, model.trainer_address


async def _loaded(trainer: Trainer) -> inference_pb2.ListLoadedModelsResponse:
    if not trainer.healthy:
        return inference_pb2.ListLoadedModelsResponse(problems=[framework_problem(trainer)])
    try:
        answer = await trainer.call(
            lambda stub, timeout: stub.ListLoadedModels(
                trainer_pb2.ListLoadedModelsRequest(), timeout=min(timeout, LIST_TIMEOUT_SECONDS)
            )
        )
    except DomainError as error:
        return inference_pb2.ListLoadedModelsResponse(problems=[framework_problem(trainer, error.message)])
    for model in answer.models:
        model.framework = trainer.framework
        model.trainer_address = trainer.address
    return inference_pb2.ListLoadedModelsResponse(models=answer.models)
