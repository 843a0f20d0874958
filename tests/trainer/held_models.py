"""A stand-in model that can be held up, loaded from real files, and pools that serve it."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save

from rpc.errors import DomainError
from storage.objects.local import LocalObjectStore
from tests.trainer.publishing import publish_checkpoint
from trainer.adapter import Classification, Export, Prediction, PredictOptions, Predictor
from trainer.converters import checkpoint_source
from trainer.predictors import CheckpointSource, PredictorPool


def picture(width: int = 6) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, 4)).save(file, "PNG")
    return file.getvalue()


IMAGE = picture()


def no_options(predictor: Predictor) -> PredictOptions:
    assert predictor.task_type == "IMAGE_CLASSIFICATION"
    return PredictOptions()


class HeldPredictor:
    """A stand-in model: answers only while its gate is open, and notices when two batches are computed at once.

    It cannot answer an image of one pixel.
    """

    task_type = "IMAGE_CLASSIFICATION"
    class_names: tuple[str, ...] = ("a", "b")
    batch_size = 100
    runtime = "held"

    def __init__(self, name: str, memory_bytes: int, gate: threading.Event) -> None:
        self.model_name = name
        self.memory_bytes = memory_bytes
        self.batches: list[list[int]] = []
        self.itself: HeldPredictor | None = None
        self._gate = gate
        self._busy = threading.Lock()

    @property
    def busy(self) -> bool:
        return self._busy.locked()

    @property
    def answered(self) -> int:
        return sum(len(batch) for batch in self.batches)

    def prepare(self, image: Image.Image) -> int:
        return image.width

    def predict_batch(self, inputs: Sequence[int], options: Sequence[PredictOptions]) -> list[Prediction]:
        assert self._busy.acquire(blocking=False), "two batches at once"
        try:
            assert self._gate.wait(10)
            if 1 in inputs:
                raise ValueError("too small to tell")
            self.batches.append(list(inputs))
            return [Prediction((Classification("a", width, 1.0),)) for width in inputs]
        finally:
            self._busy.release()

    def export(self, runtime: str) -> Export | None:
        return None


class Models:
    """Loads stand-ins from real files; ``loading`` and ``predicting`` are gates, open at first."""

    def __init__(self, store: LocalObjectStore) -> None:
        self._store = store
        self.loads: list[str] = []
        self.loaded: dict[str, HeldPredictor] = {}
        self.loading, self.predicting = threading.Event(), threading.Event()
        self.loading.set()
        self.predicting.set()

    def busy(self, name: str) -> bool:
        return name in self.loaded and self.loaded[name].busy

    def publish(self, name: str, memory_bytes: int = 100) -> CheckpointSource:
        weights = save({"weight": np.zeros(4)}, metadata={"name": name, "memory_bytes": str(memory_bytes)})
        files = {"weights.safetensors": weights, "training_state.safetensors": b"not for predictions"}
        return checkpoint_source(publish_checkpoint(self._store, name, files))

    def load(self, folder: Path, threads: int) -> HeldPredictor:
        assert not (folder / "training_state.safetensors").exists()
        with safe_open(folder / "weights.safetensors", framework="np") as file:
            metadata = file.metadata()
        self.loads.append(metadata["name"])
        assert self.loading.wait(10)
        predictor = HeldPredictor(metadata["name"], int(metadata["memory_bytes"]), self.predicting)
        self.loaded[metadata["name"]] = predictor
        return predictor


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.005)


def names(pool: PredictorPool) -> list[str]:
    return [loaded.model_name for loaded in pool.loaded()]


async def refusal(call: Awaitable[object]) -> DomainError:
    with pytest.raises(DomainError) as caught:
        await call
    return caught.value


MakePool = Callable[..., PredictorPool]
