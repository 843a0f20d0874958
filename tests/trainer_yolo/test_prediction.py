"""Prediction needs the checkpoint folder alone, takes whatever is an image, and answers each by its own options."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from rpc.errors import DomainError
from storage.objects.local import LocalObjectStore
from tests.trainer.held_models import until
from tests.trainer.publishing import publish_checkpoint
from tests.trainer_yolo.checkpoints import NAMES, picture, write_checkpoint
from tests.trainer_yolo.helpers import SIZE, TINY
from trainer.adapter import Prediction, PredictOptions
from trainer.cache.checkpoints import CheckpointCache
from trainer.converters import checkpoint_source, predict_response
from trainer.predictors import PoolLimits, PredictorPool
from trainer_timm.names import FRAMEWORK as TIMM
from trainer_torch.checkpoint_files import METADATA_KEY
from trainer_yolo.adapter import YoloAdapter
from trainer_yolo.names import CLASSIFICATION, DETECTION, ORIENTED, POSE, SEGMENTATION, TASKS
from trainer_yolo.prediction import TorchPredictor, YoloPredictor
from visionmesh.v1 import inference_pb2

EVERYTHING = PredictOptions(confidence_threshold=0.3, iou_threshold=0.4)

# One of every mode, and of shapes that nobody expects.
IMAGES = [
    Image.new("L", (40, 30), 90),
    Image.new("1", (40, 30), 1),
    Image.new("P", (40, 30), 3),
    Image.new("RGBA", (40, 30), (10, 20, 30, 40)),
    Image.new("CMYK", (40, 30), (10, 20, 30, 40)),
    Image.new("I;16", (40, 30), 30000),
    Image.new("F", (40, 30), 0.5),
    Image.new("RGB", (1, 1)),
    Image.new("RGB", (1, 30_000)),
    Image.new("RGB", (30_000, 1)),
]


@pytest.fixture(scope="module")
def predictor_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], TorchPredictor]:
    """The predictor of a model's checkpoint, which lies alone as after a download."""
    loaded: dict[str, TorchPredictor] = {}

    def of(model_name: str) -> TorchPredictor:
        if model_name not in loaded:
            folder = write_checkpoint(tmp_path_factory.mktemp(model_name), model_name)
            (folder / "training_state.safetensors").unlink()
            found = YoloAdapter().load_predictor(folder, 1)
            assert isinstance(found, TorchPredictor)
            loaded[model_name] = found
        return loaded[model_name]

    return of


PredictorOf = Callable[[str], TorchPredictor]


def predict(predictor: YoloPredictor, image: Image.Image, options: PredictOptions = EVERYTHING) -> Prediction:
    """Predict one image alone."""
    [prediction] = predictor.predict_batch([predictor.prepare(image)], [options])
    return prediction


def said_of(prediction: Prediction) -> list[tuple[str, float]]:
    """Labels and confidences."""
    found = [(item.label, item.confidence) for item in prediction.detections]
    return found or [(item.label, item.confidence) for item in prediction.classifications]


@pytest.mark.parametrize("task_type", TASKS)
def test_it_says_what_it_is(task_type: str, predictor_of: PredictorOf) -> None:
    predictor = predictor_of(TINY[task_type])
    assert (predictor.task_type, predictor.model_name) == (task_type, TINY[task_type])
    assert predictor.class_names == NAMES
    assert predictor.runtime == "torch"
    parameters = sum(parameter.numel() for parameter in predictor.model.parameters())
    assert 4 * parameters <= predictor.memory_bytes < 4.1 * parameters
    assert not predictor.model.training


@pytest.mark.parametrize("task_type", TASKS)
def test_every_kind_of_image_is_answered_on_the_image(task_type: str, predictor_of: PredictorOf) -> None:
    predictor = predictor_of(TINY[task_type])
    for image in IMAGES:
        options = PredictOptions(confidence_threshold=0.2, iou_threshold=0.4, top_k=3)
        prediction = predict(predictor, image, options)
        if task_type == CLASSIFICATION:
            total = sum(item.confidence for item in predict(predictor, image, PredictOptions()).classifications)
            assert total == pytest.approx(1.0, abs=1e-5)
        for item in prediction.detections:
            box = item.box
            assert 0 <= box.x_min <= box.x_max <= image.width and 0 <= box.y_min <= box.y_max <= image.height
            for polygon in item.polygons:
                assert min(polygon) >= 0 and max(polygon[::2]) <= image.width and max(polygon[1::2]) <= image.height


def test_an_image_is_turned_upright(predictor_of: PredictorOf) -> None:
    predictor = predictor_of(TINY[DETECTION])
    upright = picture(90, 60)
    exif = Image.Exif()
    exif[0x0112] = 6  # stands on its side: turn it clockwise by a quarter
    file = io.BytesIO()
    upright.transpose(Image.Transpose.ROTATE_90).save(file, "PNG", exif=exif)
    assert predict(predictor, Image.open(file)) == predict(predictor, upright)


@pytest.mark.parametrize("model_name", [*TINY.values(), "yolo26n"])
def test_a_batch_says_what_each_image_alone_says_by_its_own_options(model_name: str, predictor_of: PredictorOf) -> None:
    predictor = predictor_of(model_name)
    images = [picture(*size, seed=3) for size in ((150, 97), (40, 200), (97, 150), (200, 40))]
    options = [
        EVERYTHING,
        PredictOptions(confidence_threshold=0.6, iou_threshold=0.9),
        PredictOptions(confidence_threshold=0.3, max_detections=2, top_k=1),
        PredictOptions(confidence_threshold=0.1, labels=frozenset(["dog"]), run_length_masks=True),
    ]
    together = predictor.predict_batch([predictor.prepare(image) for image in images], options)
    for prediction, image, chosen in zip(together, images, options, strict=True):
        said, alone = said_of(prediction), said_of(predict(predictor, image, chosen))
        assert [label for label, _ in said] == [label for label, _ in alone]
        assert [sure for _, sure in said] == pytest.approx([sure for _, sure in alone], abs=1e-5)
        assert all(sure > chosen.confidence_threshold and chosen.allows(label) for label, sure in said)
    assert len(together[2].detections) <= 2 and len(together[2].classifications) <= 1
    assert together[0].detections or together[0].classifications
    segments = predictor.task_type == SEGMENTATION
    assert all((item.mask is not None) == segments and not item.polygons for item in together[3].detections)


def test_boxes_that_overlap_more_than_allowed_are_one_object(predictor_of: PredictorOf) -> None:
    predictor, image = predictor_of(TINY[DETECTION]), picture(150, 97)
    few, more = (
        predict(predictor, image, PredictOptions(confidence_threshold=0.3, iou_threshold=threshold)).detections
        for threshold in (0.2, 0.8)
    )
    assert 0 < len(few) < len(more)


@pytest.mark.parametrize("task_type", [DETECTION, ORIENTED, POSE, SEGMENTATION])
def test_nothing_is_an_answer_too(task_type: str, predictor_of: PredictorOf) -> None:
    options = PredictOptions(confidence_threshold=1.0)
    assert predict(predictor_of(TINY[task_type]), picture(150, 97), options) == Prediction()


def test_a_head_that_chooses_by_itself_can_be_asked_for_many(predictor_of: PredictorOf) -> None:
    predictor, image = predictor_of("yolo26n"), picture(150, 97)
    found = predict(predictor, image, PredictOptions(max_detections=3000)).detections
    # As many as there are cells in a frame of 64 pixels: 64 + 16 + 4.
    assert len(found) == 84
    few = predict(predictor, image, PredictOptions(max_detections=5)).detections
    assert few == found[:5]


def test_an_outline_goes_around_each_part_of_a_mask_and_run_lengths_have_every_pixel(
    predictor_of: PredictorOf,
) -> None:
    predictor, image = predictor_of(TINY[SEGMENTATION]), picture(96, 96)
    outlined = predict(predictor, image).detections
    options = PredictOptions(confidence_threshold=0.3, iou_threshold=0.4, run_length_masks=True)
    filled = predict(predictor, image, options).detections
    assert len(outlined) == len(filled) > 2
    for one, other in zip(outlined, filled, strict=True):
        assert one.box == other.box and one.mask is None and not other.polygons
        assert all(len(polygon) >= 6 for polygon in one.polygons)
        assert other.mask is not None and (other.mask.height, other.mask.width) == (96, 96)
        assert sum(other.mask.counts) == 96 * 96
    assert any(len(item.polygons) > 1 for item in outlined)


def test_labels_choose_among_the_classes_of_an_image(predictor_of: PredictorOf) -> None:
    predictor, image = predictor_of(TINY[CLASSIFICATION]), picture(97, 50)
    everything = predict(predictor, image, PredictOptions(top_k=9)).classifications
    assert [item.label for item in everything] != sorted(NAMES) and len(everything) == 3
    last = everything[-1]
    chosen = PredictOptions(top_k=1, labels=frozenset([last.label]))
    assert predict(predictor, image, chosen).classifications == (last,)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"), TINY[DETECTION])


def described_otherwise(checkpoint: Path, text: Callable[[dict[str, Any]], str]) -> bytes:
    """The weights of a checkpoint with another description."""
    path = checkpoint / "weights.safetensors"
    with safe_open(path, framework="pt") as file:
        content = json.loads(file.metadata()[METADATA_KEY])
    other = path.with_name("other.safetensors")
    save_file(load_file(path), other, metadata={METADATA_KEY: text(content)})
    return other.read_bytes()


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], str], str]] = {
    "of the other framework": (lambda content: json.dumps({**content, "framework": TIMM}), "made by timm"),
    "of an unknown model": (lambda content: json.dumps({**content, "model_name": "yolo99n"}), "yolo99n"),
    "of another task": (lambda content: json.dumps({**content, "task_type": POSE}), "does OBJECT_DETECTION"),
    "of no size": (lambda content: json.dumps({**content, "image_size": "large"}), "'large' pixels"),
    "of a size between": (lambda content: json.dumps({**content, "image_size": 65}), "65 pixels"),
    "of a huge size": (lambda content: json.dumps({**content, "image_size": 1 << 20}), "pixels"),
    "with fewer classes": (lambda content: json.dumps({**content, "class_names": ["a"]}), "does not fit"),
    "with classes that are no names": (lambda content: json.dumps({**content, "class_names": [1, 2, 3]}), "described"),
    "without classes": (lambda content: json.dumps({**content, "class_names": None}), "described"),
    "that is a list": (lambda content: json.dumps([content]), "described"),
    "that is no JSON": (lambda content: "{", "described"),
}


def open_pool(tmp_path: Path, **more: Any) -> PredictorPool:
    """A pool over the store of a test."""

    async def ready() -> None:
        return None

    cache = CheckpointCache(tmp_path / "cache", LocalObjectStore(tmp_path / "store"), 1 << 30)
    limits = PoolLimits(memory_bytes=1 << 30, workers=1, threads=1, queue=9, max_image_pixels=1 << 20, **more)
    return PredictorPool(YoloAdapter().load_predictor, cache, limits, ready)


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    picture(width, height).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("task_type", [SEGMENTATION, POSE, ORIENTED])
async def test_what_is_found_reaches_the_contract_before_and_after_the_export(task_type: str, tmp_path: Path) -> None:
    weights = (write_checkpoint(tmp_path, TINY[task_type]) / "weights.safetensors").read_bytes()
    store = LocalObjectStore(tmp_path / "store")
    source = checkpoint_source(publish_checkpoint(store, "tiny", {"weights.safetensors": weights}))
    pool = open_pool(tmp_path, batch_size=4, runtime="onnxruntime")

    async def ask() -> inference_pb2.PredictResponse:
        answers = await asyncio.gather(
            *(pool.predict(source, png(*size), lambda _: EVERYTHING) for size in ((150, 97), (40, 200)))
        )
        return predict_response(answers[0]).prediction

    first = await ask()
    assert (first.image_width, first.image_height, first.model_name) == (150, 97, TINY[task_type])
    for found in first.detections:
        assert len(found.keypoints) == (4 if task_type == POSE else 0)
        assert len(found.rotated_box.corners) == (4 if task_type == ORIENTED else 0)
    assert any(found.mask for found in first.detections) == (task_type == SEGMENTATION)
    await until(lambda: [loaded.runtime for loaded in pool.loaded()] == ["onnxruntime"])
    with pytest.raises(DomainError, match="not an image of one of these formats") as refused:
        await pool.predict(source, b"no image", lambda _: EVERYTHING)
    assert refused.value.reason == "IMAGE_UNREADABLE"
    second = await ask()
    assert [found.label for found in second.detections] == [found.label for found in first.detections]
    assert second.detections[0].box.x_max == pytest.approx(first.detections[0].box.x_max, abs=0.1)
    pool.close()


@pytest.mark.parametrize("how", BROKEN)
async def test_a_description_that_is_broken_is_a_corrupt_checkpoint(how: str, checkpoint: Path, tmp_path: Path) -> None:
    change, why = BROKEN[how]
    weights = described_otherwise(checkpoint, change)
    store = LocalObjectStore(tmp_path / "store")
    source = checkpoint_source(publish_checkpoint(store, "broken", {"weights.safetensors": weights}))
    pool = open_pool(tmp_path)
    with pytest.raises(DomainError, match=why) as refused:
        await pool.predict(source, png(SIZE, SIZE), lambda _: EVERYTHING)
    assert refused.value.reason == "STORAGE_CORRUPT"
    assert str(tmp_path) not in refused.value.message
    pool.close()


def test_a_folder_without_weights_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        YoloAdapter().load_predictor(tmp_path, 1)


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    torch.save({"model": 1}, tmp_path / "weights.safetensors")
    with pytest.raises(SafetensorError):
        YoloAdapter().load_predictor(tmp_path, 1)


def test_a_predictor_that_nobody_has_any_more_is_freed_at_once(tmp_path: Path) -> None:
    found = YoloAdapter().load_predictor(write_checkpoint(tmp_path, TINY[DETECTION]), 1)
    freed = weakref.ref(found)
    gc.disable()  # it sees little of a model, and would come too late
    try:
        del found
        assert freed() is None
    finally:
        gc.enable()
