"""What torch and ONNX Runtime say of the same checkpoint, and what happens when they do not agree."""

from __future__ import annotations

import asyncio
import io
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from storage.objects.local import LocalObjectStore
from tests.trainer.held_models import IMAGE, until
from tests.trainer.publishing import publish_checkpoint
from tests.trainer_timm.helpers import Recorder, make_spec
from trainer.adapter import ExportFailed, PredictOptions, Predictor, TrainingDataset
from trainer.cache.checkpoints import CheckpointCache
from trainer.converters import checkpoint_source
from trainer.predictors import CheckpointSource, PoolLimits, PredictorPool
from trainer_timm.adapter import TimmAdapter
from trainer_timm.onnx_export import OnnxExport
from trainer_timm.prediction import TimmPredictor
from trainer_torch.onnx_files import MODEL_FILE

# A convolutional net, a transformer of fixed input size, and one of mobile blocks.
FAMILIES = ("test_resnet", "test_vit", "test_efficientnet")


@pytest.fixture(scope="module")
def checkpoints(textures: TrainingDataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A trained checkpoint of each family."""
    folders = {}
    for name in FAMILIES:
        recorder = Recorder()
        spec = make_spec(model_name=name, epochs=1)
        assert TimmAdapter().train(spec, textures, tmp_path_factory.mktemp(name), recorder)
        folders[name] = recorder.checkpoints[-1][1]
    return folders


def pictures(count: int) -> list[Image.Image]:
    rng = np.random.default_rng(count)
    return [Image.fromarray(rng.integers(0, 256, (40, 50 + number, 3), dtype=np.uint8)) for number in range(count)]


@pytest.mark.parametrize("name", FAMILIES)
def test_onnx_runtime_says_what_torch_says(name: str, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    predictor = TimmPredictor(checkpoints[name], 1)
    export = predictor.export("auto")
    assert export is not None
    export.write(tmp_path)
    exported = export.load(tmp_path)

    assert (predictor.runtime, exported.runtime) == ("torch", "onnxruntime")
    assert exported.memory_bytes == pytest.approx(predictor.memory_bytes, rel=0.3)
    for count in (1, 2, 5):
        images = pictures(count)
        prepared = [exported.prepare(image) for image in images]
        assert all(torch.equal(one, predictor.prepare(image)) for one, image in zip(prepared, images, strict=True))
        options = [PredictOptions(top_k=3)] * count
        for mine, torchs in zip(
            exported.predict_batch(prepared, options), predictor.predict_batch(prepared, options), strict=True
        ):
            scores = {found.label: found.confidence for found in mine.classifications}
            assert scores == pytest.approx(
                {found.label: found.confidence for found in torchs.classifications}, abs=1e-4
            )


def test_an_export_that_says_something_else_is_refused(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = TimmPredictor(checkpoints["test_resnet"], 1)
    export = OnnxExport(predictor, 1)
    real = torch.onnx.export

    def of_another_model(model: torch.nn.Module, *arguments: Any, **named: Any) -> Any:
        with torch.no_grad():
            next(model.parameters()).mul_(1.5)
        return real(model, *arguments, **named)

    monkeypatch.setattr(torch.onnx, "export", of_another_model)
    with pytest.raises(ExportFailed, match="differ from torch's"):
        export.write(tmp_path)


def test_a_gpu_keeps_torch_unless_told_otherwise(checkpoints: dict[str, Path]) -> None:
    predictor = TimmPredictor(checkpoints["test_resnet"], 1)
    predictor._device = torch.device("cuda")
    assert predictor.export("auto") is None
    assert predictor.export("onnxruntime") is not None


@pytest.fixture
def source(checkpoints: dict[str, Path], tmp_path: Path) -> CheckpointSource:
    """The checkpoint in a store, as the gateway names it."""
    weights = (checkpoints["test_resnet"] / "weights.safetensors").read_bytes()
    store = LocalObjectStore(tmp_path / "store")
    return checkpoint_source(publish_checkpoint(store, "tiny", {"weights.safetensors": weights}))


OpenPool = Callable[..., PredictorPool]


@pytest.fixture
def open_pool(tmp_path: Path) -> OpenPool:
    def make(**limited: Any) -> PredictorPool:
        async def ready() -> None:
            return None

        cache = CheckpointCache(tmp_path / "cache", LocalObjectStore(tmp_path / "store"), 1 << 30)
        settings = {"memory_bytes": 1 << 30, "workers": 1, "threads": 1, "queue": 9, "max_image_pixels": 1 << 20}
        return PredictorPool(TimmAdapter().load_predictor, cache, PoolLimits(**(settings | limited)), ready)

    return make


async def ask(pool: PredictorPool, source: CheckpointSource) -> dict[str, float]:
    file = io.BytesIO()
    pictures(1)[0].save(file, "PNG")
    answer = await pool.predict(source, file.getvalue(), lambda _: PredictOptions())
    return {found.label: found.confidence for found in answer.prediction.classifications}


async def served_by(pool: PredictorPool, runtime: str) -> None:
    await until(lambda: [loaded.runtime for loaded in pool.loaded()] == [runtime])


async def test_an_export_is_made_once_and_kept_in_the_cache_of_checkpoints(
    source: CheckpointSource, open_pool: OpenPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = open_pool()
    first = await ask(pool, source)
    await served_by(pool, "onnxruntime")
    assert await ask(pool, source) == pytest.approx(first, abs=1e-4)
    pool.close()
    [kept] = (tmp_path / "cache").rglob(MODEL_FILE)
    assert pool.loaded() == []

    # Another server of the same folder exports nothing.
    monkeypatch.setattr(OnnxExport, "write", lambda self, folder: pytest.fail("exported twice"))
    again = open_pool()
    await ask(again, source)
    await served_by(again, "onnxruntime")
    again.close()

    # It goes as entries go: the least recently used first, and whole.
    CheckpointCache(tmp_path / "cache", LocalObjectStore(tmp_path / "store"), 1)._folders.evict()
    assert not kept.exists() and not list((tmp_path / "cache").rglob("*.safetensors"))


async def test_torch_goes_on_when_the_export_fails_and_the_log_says_why(
    source: CheckpointSource, open_pool: OpenPool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise torch.onnx.errors.UnsupportedOperatorError("aten::strange", 17, None)

    monkeypatch.setattr(torch.onnx, "export", fail)
    pool = open_pool(runtime="onnxruntime")
    first = await ask(pool, source)
    await until(lambda: "aten::strange" in capsys.readouterr().out)
    assert await ask(pool, source) == first
    assert [loaded.runtime for loaded in pool.loaded()] == ["torch"]
    pool.close()


async def test_torch_goes_on_without_onnx_runtime(
    source: CheckpointSource, open_pool: OpenPool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "trainer_timm.onnx_export", None)
    pool = open_pool()
    await ask(pool, source)
    await until(lambda: "is not installed" in capsys.readouterr().out)
    assert [loaded.runtime for loaded in pool.loaded()] == ["torch"]
    pool.close()


async def test_the_original_goes_when_its_export_takes_over(source: CheckpointSource, open_pool: OpenPool) -> None:
    seen: list[weakref.ref[Predictor]] = []

    def options(predictor: Predictor) -> PredictOptions:
        seen.append(weakref.ref(predictor))
        return PredictOptions()

    pool = open_pool()
    await pool.predict(source, IMAGE, options)
    await served_by(pool, "onnxruntime")
    await until(lambda: seen[0]() is None)
    pool.close()


async def test_torch_alone_by_setting(source: CheckpointSource, open_pool: OpenPool, tmp_path: Path) -> None:
    pool = open_pool(runtime="torch")
    await ask(pool, source)
    await asyncio.sleep(0.1)
    assert [loaded.runtime for loaded in pool.loaded()] == ["torch"]
    assert not list((tmp_path / "cache").rglob(MODEL_FILE))
    pool.close()
