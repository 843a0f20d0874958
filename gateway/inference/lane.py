"""One stream of predictions to one trainer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import grpc

from gateway.fleet import Trainer, unavailable
from rpc.errors import DomainError
from visionmesh.mesh.v1 import trainer_pb2, trainer_service_pb2_grpc

# What grpc.aio reports in place of the status when a question was being written while the trainer ended the call.
_WRITE_MET_THE_END = "Internal error from Core"


class Lane:
    """Questions go in and come back answered in order. Whoever asks bounds how many are on their way."""

    def __init__(self, trainer: Trainer, timeout_seconds: float | None) -> None:
        self._trainer = trainer
        self._timeout_seconds = timeout_seconds
        self._questions: asyncio.Queue[trainer_pb2.PredictRequest] = asyncio.Queue()
        self._unanswered: deque[asyncio.Future[trainer_pb2.PredictStreamResponse]] = deque()
        self._lost: DomainError | None = None
        self._carrying = asyncio.create_task(self._carry())

    @property
    def lost(self) -> bool:
        """Whether the stream has ended."""
        return self._lost is not None

    def ask(self, question: trainer_pb2.PredictRequest) -> asyncio.Future[trainer_pb2.PredictStreamResponse]:
        """Send a question. The answer raises DomainError when the trainer is lost first; so does this, afterwards."""
        if self._lost is not None:
            raise self._lost
        answer: asyncio.Future[trainer_pb2.PredictStreamResponse] = asyncio.get_running_loop().create_future()
        self._unanswered.append(answer)
        self._questions.put_nowait(question)
        return answer

    async def close(self) -> None:
        """Cancel the call, and with it what the trainer still has to do."""
        self._carrying.cancel()
        await asyncio.wait({self._carrying})

    async def _carry(self) -> None:
        try:
            await self._trainer.call(lambda stub, _: self._exchange(stub))
            self._lost = unavailable(self._trainer.framework, [self._trainer], "it ended the stream")
        except DomainError as error:
            self._lost = error
        finally:
            # Those that are cancelled with this task have nobody who waits for them.
            for answer in self._unanswered:
                if answer.done():
                    continue
                if self._lost is None:
                    answer.cancel()
                else:
                    answer.set_exception(self._lost)

    async def _exchange(self, stub: trainer_service_pb2_grpc.TrainerServiceAsyncStub) -> None:
        call = stub.PredictStream(self._requests(), timeout=self._timeout_seconds)
        try:
            async for response in call:
                answer = self._unanswered.popleft()
                if not answer.done():
                    answer.set_result(response)
        except grpc.aio.AioRpcError as error:
            if error.details() != _WRITE_MET_THE_END:
                raise
            raise unavailable(self._trainer.framework, [self._trainer], "it ended the stream") from error
        finally:
            call.cancel()

    async def _requests(self) -> AsyncIterator[trainer_pb2.PredictStreamRequest]:
        while True:
            yield trainer_pb2.PredictStreamRequest(request=await self._questions.get())
