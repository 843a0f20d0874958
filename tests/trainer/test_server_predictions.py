"""A real timm trainer predicts with a checkpoint that was really trained."""

from __future__ import annotations

import asyncio
import io
import struct
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from PIL import Image

from rpc.channel import open_mesh_channel
from storage.objects.digest import sha256_bytes
from tests.trainer.publishing import publish_checkpoint
from tests.trainer.servers import TOKEN, TrainerProcess, refusal, running_trainer
from tests.trainer.tiny import train_tiny_classifier
from trainer.adapter import PredictOptions
from trainer_timm.adapter import TimmAdapter
from visionmesh.mesh.v1 import run_pb2, trainer_pb2
from visionmesh.mesh.v1.trainer_service_pb2_grpc import TrainerServiceStub
from visionmesh.v1 import common_pb2

if TYPE_CHECKING:  # a type of the stubs, which does not exist at run time
    from visionmesh.mesh.v1.trainer_service_pb2_grpc import TrainerServiceAsyncStub

CLASSIFICATION = common_pb2.TASK_TYPE_IMAGE_CLASSIFICATION
SERVICE = "visionmesh.mesh.v1.TrainerService"


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrainerProcess]:
    with running_trainer(tmp_path_factory.mktemp("trainer"), slots="2", max_image_pixels="1000000") as running:
        yield running


@pytest.fixture
async def channel(trainer: TrainerProcess) -> AsyncIterator[grpc.aio.Channel]:
    async with open_mesh_channel(trainer.address, TOKEN) as opened:
        yield opened


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> TrainerServiceAsyncStub:
    return TrainerServiceStub(channel)


@pytest.fixture(scope="module")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tiny_classifier(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def checkpoint_files(tiny_checkpoint: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in tiny_checkpoint.iterdir()}


@pytest.fixture(scope="module")
def checkpoint(trainer: TrainerProcess, checkpoint_files: dict[str, bytes]) -> run_pb2.CheckpointRef:
    return publish_checkpoint(trainer.store, "tiny", checkpoint_files)


def picture(color: str = "red", size: tuple[int, int] = (40, 30), format: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, format)
    return file.getvalue()


def huge_png() -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


async def test_a_checkpoint_predicts_as_its_adapter_does(
    stub: TrainerServiceAsyncStub, checkpoint: run_pb2.CheckpointRef, tiny_checkpoint: Path
) -> None:
    request = trainer_pb2.PredictRequest(checkpoint=checkpoint, image_bytes=picture("red"))
    prediction = (await stub.Predict(request)).prediction

    predictor = TimmAdapter().load_predictor(tiny_checkpoint, 1)
    [expected] = predictor.predict_batch([predictor.prepare(Image.new("RGB", (40, 30), "red"))], [PredictOptions()])
    assert [found.label for found in prediction.classifications] == ["red", "blue"]
    assert [found.label_id for found in prediction.classifications] == [1, 0]
    for found, wanted in zip(prediction.classifications, expected.classifications, strict=True):
        assert found.confidence == pytest.approx(wanted.confidence, abs=1e-5)
    assert (prediction.image_width, prediction.image_height) == (40, 30)
    assert (prediction.model_name, prediction.task_type) == ("test_resnet", CLASSIFICATION)
    assert prediction.inference_time_ms > 0
    loaded = (await stub.ListLoadedModels(trainer_pb2.ListLoadedModelsRequest())).models
    assert [(model.checkpoint_id, model.job_id, model.framework) for model in loaded] == [("tiny", "job", "timm")]
    assert loaded[0].memory_bytes > 100_000


async def test_the_options_of_a_prediction_hold(
    stub: TrainerServiceAsyncStub, checkpoint: run_pb2.CheckpointRef
) -> None:
    request = trainer_pb2.PredictRequest(checkpoint=checkpoint, image_bytes=picture("blue", (1, 1)), top_k=1)
    one = (await stub.Predict(request)).prediction
    request.confidence_threshold = 1.0
    none = (await stub.Predict(request)).prediction

    assert len(one.classifications) == 1
    assert (one.image_width, one.image_height) == (1, 1)
    assert not none.classifications


async def test_a_prediction_with_wrong_options_names_them_all(
    stub: TrainerServiceAsyncStub, checkpoint: run_pb2.CheckpointRef
) -> None:
    request = trainer_pb2.PredictRequest(
        checkpoint=checkpoint, image_bytes=picture(), confidence_threshold=float("nan"), iou_threshold=2, top_k=-1
    )
    error = await refusal(stub.Predict(request))
    empty = await refusal(stub.Predict(trainer_pb2.PredictRequest()))

    assert [violation.field for violation in error.violations] == ["confidence_threshold", "iou_threshold", "top_k"]
    assert {violation.field.split(".")[0] for violation in empty.violations} == {"checkpoint"}


async def test_only_the_labels_asked_for_are_answered(
    stub: TrainerServiceAsyncStub, checkpoint: run_pb2.CheckpointRef
) -> None:
    request = trainer_pb2.PredictRequest(checkpoint=checkpoint, image_bytes=picture(), top_k=5)
    everything = (await stub.Predict(request)).prediction.classifications
    wanted = everything[-1]
    request.labels.append(wanted.label)
    one = (await stub.Predict(request)).prediction.classifications
    request.labels.append("cow")
    error = await refusal(stub.Predict(request))

    assert len(everything) > 1
    assert [(found.label, found.label_id) for found in one] == [(wanted.label, wanted.label_id)]
    # Not to the last bit: the model may have moved from torch to ONNX Runtime between the two calls.
    assert one[0].confidence == pytest.approx(wanted.confidence, abs=1e-4)
    assert [violation.field for violation in error.violations] == ["labels"]
    assert "'cow'" in error.violations[0].description and everything[0].label in error.violations[0].description


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"", "IMAGE_UNREADABLE"),
        (b"not an image", "IMAGE_UNREADABLE"),
        (picture(format="JPEG")[:300], "IMAGE_UNREADABLE"),
        (huge_png(), "IMAGE_TOO_LARGE"),
        (picture(size=(1001, 1000)), "IMAGE_TOO_LARGE"),
    ],
    ids=["empty", "no image", "cut short", "claims 30000 x 30000", "larger than the setting"],
)
async def test_bad_images_are_refused(
    stub: TrainerServiceAsyncStub, checkpoint: run_pb2.CheckpointRef, image: bytes, reason: str
) -> None:
    error = await refusal(stub.Predict(trainer_pb2.PredictRequest(checkpoint=checkpoint, image_bytes=image)))

    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)


async def test_a_damaged_checkpoint_is_named(stub: TrainerServiceAsyncStub, trainer: TrainerProcess) -> None:
    damaged = publish_checkpoint(trainer.store, "damaged", {"weights.safetensors": b"x" * 1000})
    error = await refusal(stub.Predict(trainer_pb2.PredictRequest(checkpoint=damaged, image_bytes=picture())))

    assert error.reason == "STORAGE_CORRUPT"
    assert error.metadata["checkpoint_id"] == "damaged"


@pytest.mark.parametrize("damage", ["cut short", "swapped", "gone"])
async def test_a_checkpoint_object_that_is_not_the_one_published_is_named_with_its_digest(
    stub: TrainerServiceAsyncStub, trainer: TrainerProcess, checkpoint_files: dict[str, bytes], damage: str
) -> None:
    weights = checkpoint_files["weights.safetensors"]
    good = publish_checkpoint(trainer.store, damage.replace(" ", "-"), {"weights.safetensors": weights})
    good.digest = sha256_bytes(damage.encode())  # not one that is in memory already
    key = good.storage_path + "weights.safetensors"
    if damage == "gone":
        trainer.store.delete(key)
    else:
        # Another checkpoint's bytes are as good a file as its own.
        trainer.store.put(key, weights[:-1] if damage == "cut short" else weights[::-1])
    request = trainer_pb2.PredictRequest(checkpoint=good, image_bytes=picture())
    error = await refusal(stub.Predict(request))

    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "STORAGE_CORRUPT")
    assert key in error.message
    assert damage == "gone" or f"expected sha256 {good.files[0].sha256}" in error.message
    # Whole again, it serves: nothing of the damaged one was kept.
    trainer.store.put(key, weights)
    assert (await stub.Predict(request)).prediction.classifications


def asked(checkpoint: run_pb2.CheckpointRef, image: bytes, **options: Any) -> trainer_pb2.PredictStreamRequest:
    request = trainer_pb2.PredictRequest(checkpoint=checkpoint, image_bytes=image, **options)
    return trainer_pb2.PredictStreamRequest(request=request)


async def test_a_stream_answers_in_order_and_each_image_fails_alone(
    stub: TrainerServiceAsyncStub, checkpoint: run_pb2.CheckpointRef, trainer: TrainerProcess
) -> None:
    damaged = publish_checkpoint(trainer.store, "damaged too", {"weights.safetensors": b"x" * 1000})
    colors = ["red", "blue"] * 20
    requests = [asked(checkpoint, picture(color, (10 + place, 10))) for place, color in enumerate(colors)]
    requests[3] = asked(checkpoint, b"no image")
    requests[5] = asked(checkpoint, picture(), top_k=-1)
    requests[7] = asked(damaged, picture())

    answers = [answer async for answer in stub.PredictStream(iter(requests))]

    assert len(answers) == 40
    failures = {place: answer.failure.reason for place, answer in enumerate(answers) if answer.HasField("failure")}
    assert failures == {3: "IMAGE_UNREADABLE", 5: "INVALID_REQUEST", 7: "STORAGE_CORRUPT"}
    for place, (answer, color) in enumerate(zip(answers, colors, strict=True)):
        if place not in failures:
            assert answer.prediction.image_width == 10 + place
            assert answer.prediction.classifications[0].label == color


async def test_the_model_moves_to_onnx_runtime_and_says_the_same(
    stub: TrainerServiceAsyncStub, checkpoint: run_pb2.CheckpointRef, trainer: TrainerProcess, tiny_checkpoint: Path
) -> None:
    request = trainer_pb2.PredictRequest(checkpoint=checkpoint, image_bytes=picture("red"))
    while True:
        prediction = (await stub.Predict(request)).prediction
        loaded = (await stub.ListLoadedModels(trainer_pb2.ListLoadedModelsRequest())).models
        [model] = [item for item in loaded if item.checkpoint_id == checkpoint.checkpoint_id]
        if model.runtime == "onnxruntime":
            break
        assert model.runtime == "torch"  # it answers meanwhile
        await asyncio.sleep(0.05)
    after = (await stub.Predict(request)).prediction

    for before_it, after_it in zip(prediction.classifications, after.classifications, strict=True):
        assert after_it.label == before_it.label
        assert after_it.confidence == pytest.approx(before_it.confidence, abs=1e-4)
    assert model.memory_bytes > 100_000


async def test_a_signal_drains_what_is_under_way_goes_on_and_no_run_begins(
    tmp_path: Path, checkpoint_files: dict[str, bytes]
) -> None:
    with running_trainer(tmp_path, drain_seconds="60") as ending:
        checkpoint = publish_checkpoint(ending.store, "tiny", checkpoint_files)
        async with open_mesh_channel(ending.address, TOKEN) as channel:
            stub = TrainerServiceStub(channel)
            # It has to wait for the first import of the framework.
            prediction = asyncio.ensure_future(
                stub.Predict(trainer_pb2.PredictRequest(checkpoint=checkpoint, image_bytes=picture()))
            )
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING

            stream = stub.PredictStream()
            await stream.write(asked(checkpoint, picture(), top_k=-1))
            first = await stream.read()
            assert isinstance(first, trainer_pb2.PredictStreamResponse)
            assert first.failure.reason == "INVALID_REQUEST"

            ending.terminate()
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            watch.cancel()
            error = await refusal(stub.StartRun(trainer_pb2.StartRunRequest()))
            assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
            assert not prediction.done()
            answer = await prediction
            assert answer.prediction.classifications[0].label == "red"
            assert (await refusal(stream.read())).reason == "SHUTTING_DOWN"
        began = time.monotonic()
        assert await asyncio.to_thread(ending.process.wait, 20) == 0, ending.log.read_text()
        assert time.monotonic() - began < 10
