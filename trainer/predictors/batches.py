"""Images that wait for one model, and the batches that they are answered in."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from trainer.adapter import Prediction, PredictOptions, Predictor

# A prediction or why there is none.
Result = Prediction | Exception


class Place:
    """A call's place in the pool: given back once the call is over and no thread works for it any more.

    A thread goes on after its call was cancelled; until it is done it uses the model and its memory.
    """

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back = give_back
        self._holders = 0

    def hold(self) -> None:
        """Keep the place until ``let_go`` was called as often as this."""
        self._holders += 1

    def let_go(self) -> None:
        """Undo one ``hold``."""
        self._holders -= 1
        if self._holders == 0:
            self._give_back()


@dataclass(frozen=True)
class _Waiting:
    input: Any
    options: PredictOptions
    place: Place
    # The prediction, and how long its batch took.
    answer: asyncio.Future[tuple[Prediction, float]]


class Batcher:
    """The queue of one model, which computes one batch at a time. Its methods belong to one event loop.

    A batch is what waits when the model is free: a lone image is computed at once. With ``wait_seconds`` above 0 a
    batch that is not full waits that long for images that are on their way, and never when there are none.
    """

    def __init__(self, threads: Executor, *, batch_size: int, wait_seconds: float) -> None:
        self._threads = threads
        self._batch_size = batch_size
        self._wait_seconds = wait_seconds
        self._queue: deque[_Waiting] = deque()
        self._announced = 0
        self._arrived = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self.predictor: Predictor | None = None  # set before the first image comes, and changed at any time

    def announce(self, change: int) -> None:
        """Count images that are on their way: +1 when one sets out, -1 when it has come or never will."""
        self._announced += change
        self._arrived.set()

    async def predict(self, prepared: Any, options: PredictOptions, place: Place) -> tuple[Prediction, float]:
        """Wait for the turn of an image; give its prediction and the seconds of its batch.

        A cancelled call leaves the queue. Raises what the model raised for this image alone.
        """
        waiting = _Waiting(prepared, options, place, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._arrived.set()
        if self._serving is None:
            self._serving = asyncio.create_task(self._serve())
        try:
            return await waiting.answer
        except asyncio.CancelledError:
            if waiting in self._queue:
                self._queue.remove(waiting)
            raise

    def close(self) -> None:
        """Drop what waits."""
        if self._serving is not None:
            self._serving.cancel()
        while self._queue:
            self._queue.popleft().answer.cancel()

    async def _serve(self) -> None:
        try:
            while self._queue:
                batch = await self._next_batch()
                if batch:
                    await self._compute(batch)
        finally:
            self._serving = None

    async def _next_batch(self) -> list[_Waiting]:
        predictor = self.predictor
        assert predictor is not None
        size = max(1, min(self._batch_size, predictor.batch_size))
        ends = time.monotonic() + self._wait_seconds
        while len(self._queue) < size and self._announced > 0 and (left := ends - time.monotonic()) > 0:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), left)
            except TimeoutError:
                break
        return [self._queue.popleft() for _ in range(min(size, len(self._queue)))]

    async def _compute(self, batch: list[_Waiting]) -> None:
        predictor = self.predictor
        assert predictor is not None
        for waiting in batch:
            waiting.place.hold()
        try:
            results, seconds = await asyncio.get_running_loop().run_in_executor(
                self._threads,
                _predict,
                predictor,
                [waiting.input for waiting in batch],
                [waiting.options for waiting in batch],
            )
            for waiting, result in zip(batch, results, strict=True):
                if waiting.answer.done():
                    continue
                if isinstance(result, Exception):
                    waiting.answer.set_exception(result)
                else:
                    waiting.answer.set_result((result, seconds))
        except BaseException:
            # Only when the pool closes: a model's own errors are results.
            for waiting in batch:
                waiting.answer.cancel()
            raise
        finally:
            for waiting in batch:
                waiting.place.let_go()


def _predict(
    predictor: Predictor, inputs: Sequence[Any], options: Sequence[PredictOptions]
) -> tuple[Sequence[Result], float]:
    """Compute a batch; when it fails, each image alone, so that one never fails the others."""
    began = time.perf_counter()
    results: Sequence[Result]
    try:
        results = predictor.predict_batch(inputs, options)
        if len(results) != len(inputs):
            raise RuntimeError(f"the model gave {len(results)} answers for {len(inputs)} images")
    except Exception as error:
        if len(inputs) == 1:
            results = [error]
        else:
            results = [_alone(predictor, *pair) for pair in zip(inputs, options, strict=True)]
    return results, time.perf_counter() - began


def _alone(predictor: Predictor, prepared: Any, options: PredictOptions) -> Result:
    try:
        [result] = predictor.predict_batch([prepared], [options])
    except Exception as error:
        return error
    return result
