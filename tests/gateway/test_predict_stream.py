"""PredictStream over real gRPC: order, failures of single images, flow control, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
import pytest

from gateway.inference.service import STREAM_IMAGES
from storage.database.engine import Database
from tests.gateway.calls import add_job, refused, told_why
from tests.gateway.conftest import MAX_IMAGE_BYTES, Account, Gateway, OpenGateway
from tests.gateway.stand_in import StandInTrainer, model
from tests.gateway.waiting import until
from visionmesh.v1 import inference_pb2

Response = inference_pb2.PredictStreamResponse


def bright(pixels: int) -> bytes:
    return b"\xff" * pixels + b"\x00"


def message(image: bytes, tag: str = "", **question: Any) -> inference_pb2.PredictStreamRequest:
    request = inference_pb2.PredictRequest(image_bytes=image, **question)
    return inference_pb2.PredictStreamRequest(tag=tag, request=request)


async def stream(
    gateway: Gateway, account: Account, messages: Iterable[inference_pb2.PredictStreamRequest]
) -> list[Response]:
    """All answers to a stream."""

    async def call(requests: AsyncIterator[inference_pb2.PredictStreamRequest]) -> list[Response]:
        answers = gateway.inference.PredictStream(requests, metadata=account.metadata, timeout=30)
        return [answer async for answer in answers]

    return await told_why(call, messages)


async def test_images_are_answered_in_order_over_one_stream_to_the_trainer(
    gateway: Gateway, database: Database, alice: Account, counters: StandInTrainer
) -> None:
    job_id, (best, _) = await add_job(database, alice)
    first = message(bright(1), "0", job_id=job_id, top_k=1, confidence_threshold=0.25)
    # More than may be on their way at once. The later ones say neither model nor options.
    answers = await stream(
        gateway, alice, [first, *(message(bright(place + 1), str(place)) for place in range(1, 2 * STREAM_IMAGES))]
    )

    assert [answer.tag for answer in answers] == [str(place) for place in range(2 * STREAM_IMAGES)]
    assert [answer.response.image_width for answer in answers] == [place + 2 for place in range(2 * STREAM_IMAGES)]
    assert {(answer.response.job_id, answer.response.checkpoint_id) for answer in answers} == {(job_id, best)}
    assert all(len(answer.response.classifications) == 1 for answer in answers)
    assert {(asked.top_k, asked.confidence_threshold) for asked in counters.predict_requests} == {(1, 0.25)}
    assert counters.asked["PredictStream"] == 1


async def test_a_model_is_needed_for_as_long_as_the_stream_is_open(
    gateway: Gateway, database: Database, alice: Account
) -> None:
    """Its checkpoint may be superseded meanwhile, and trainers may have to fetch it again."""
    job_id, _ = await add_job(database, alice)
    call: Any = gateway.inference.PredictStream(metadata=alice.metadata, timeout=30)
    for place in (1, 2):
        await call.write(message(bright(place), job_id=job_id))
        assert (await call.read()).response.job_id == job_id
        assert gateway.readers.needed() == {f"checkpoints/default/{job_id}/1/", f"checkpoints/default/{job_id}/"}
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    await until(lambda: not gateway.readers.needed())


async def test_each_image_fails_alone(
    gateway: Gateway, database: Database, alice: Account, bob: Account, counters: StandInTrainer
) -> None:
    job_id, (_, last) = await add_job(database, alice)
    foreign, _ = await add_job(database, bob)
    answers = await stream(
        gateway,
        alice,
        [
            message(b"no image", "unreadable", job_id=job_id),
            message(bright(3), "good"),
            message(bright(3), "other model", checkpoint_id=last),
            message(bright(3), "foreign", job_id=foreign),
            message(b"", "empty"),
            message(bright(3), "wrong option", top_k=1001),
            message(bytes(MAX_IMAGE_BYTES + 1), "large"),
            inference_pb2.PredictStreamRequest(tag="nothing"),
            message(bright(3), "good again"),
        ],
    )

    said = {answer.tag: answer.failure.reason if answer.HasField("failure") else "" for answer in answers}
    assert said == {
        "unreadable": "IMAGE_UNREADABLE",
        "good": "",
        "other model": "",
        "foreign": "JOB_NOT_FOUND",
        "empty": "INVALID_REQUEST",
        "wrong option": "INVALID_REQUEST",
        "large": "MESSAGE_TOO_LARGE",
        "nothing": "INVALID_REQUEST",
        "good again": "",
    }
    assert list(said) == [answer.tag for answer in answers]
    assert answers[2].response.checkpoint_id == last
    assert "top_k" in answers[5].failure.message
    assert counters.asked["PredictStream"] == 1


async def test_models_of_two_frameworks_in_one_stream(
    gateway: Gateway, database: Database, alice: Account, counters: StandInTrainer, boxes: StandInTrainer
) -> None:
    counted, _ = await add_job(database, alice)
    boxed, _ = await add_job(database, alice, framework="boxes")
    counters.predict_seconds = 0.2  # slower than the other, and yet first
    answers = await stream(gateway, alice, [message(bright(1), job_id=job) for job in (counted, boxed) * 3])

    assert [answer.response.model_name for answer in answers] == ["count_a", "box_s"] * 3
    assert (counters.asked["PredictStream"], boxes.asked["PredictStream"]) == (1, 1)


async def test_a_fast_client_is_held_back(
    gateway: Gateway, database: Database, alice: Account, counters: StandInTrainer
) -> None:
    job_id, _ = await add_job(database, alice)
    counters.answers_streams.clear()
    image = b"\xff" * (MAX_IMAGE_BYTES - 1)
    sent = 0

    async def send() -> AsyncIterator[inference_pb2.PredictStreamRequest]:
        nonlocal sent
        for _ in range(150):
            yield message(image, job_id=job_id)
            sent += 1

    call = gateway.inference.PredictStream(send(), metadata=alice.metadata)
    answers = asyncio.ensure_future(_all(call))
    before = -1
    while sent == 0 or sent != before:  # until it goes no further
        before = sent
        await asyncio.sleep(0.5)
    assert sent < 100
    counters.answers_streams.set()
    assert len(await answers) == 150


async def _all(call: Any) -> list[Response]:
    return [answer async for answer in call]


async def test_a_stream_given_up_is_given_up_at_the_trainer(
    gateway: Gateway, database: Database, alice: Account, counters: StandInTrainer
) -> None:
    job_id, _ = await add_job(database, alice)
    counters.answers_streams.clear()
    call = gateway.inference.PredictStream(metadata=alice.metadata)
    await call.write(message(bright(1), job_id=job_id))
    while counters.streamed == 0:
        await asyncio.sleep(0.01)
        assert not call.done()
    call.cancel()
    await asyncio.wait_for(counters.given_up.wait(), 10)
    assert counters.asked["Predict"] == 0


async def test_a_trainer_that_is_lost_ends_the_stream_and_what_it_said_is_kept(
    gateway: Gateway, database: Database, alice: Account, counters: StandInTrainer
) -> None:
    job_id, _ = await add_job(database, alice)
    call = gateway.inference.PredictStream(metadata=alice.metadata)
    await call.write(message(bright(1), "kept", job_id=job_id))
    first = await call.read()
    assert isinstance(first, Response) and first.response.job_id == job_id
    await counters.stop()
    await call.write(message(bright(1), "lost"))
    error = await refused(call.read())
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "FRAMEWORK_UNAVAILABLE")

    error = await refused(stream(gateway, alice, [message(bright(1), job_id=job_id)]))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "FRAMEWORK_UNAVAILABLE")


async def test_an_idle_stream_goes_on_with_another_trainer(
    open_gateway: OpenGateway, database: Database, alice: Account
) -> None:
    replicas = [StandInTrainer("counters", [model("count_a")]) for _ in range(2)]
    for replica in replicas:
        await replica.start()
    gateway = await open_gateway(*replicas)
    job_id, _ = await add_job(database, alice)
    call = gateway.inference.PredictStream(metadata=alice.metadata)
    await call.write(message(bright(1), job_id=job_id))
    assert isinstance(await call.read(), Response)
    [own, other] = sorted(replicas, key=lambda replica: -replica.streamed)
    await own.stop()
    while sum(trainer.healthy for trainer in gateway.fleet.trainers) == 2:
        await asyncio.sleep(0.02)
        assert not call.done()
    await call.write(message(bright(1)))
    assert isinstance(answer := await call.read(), Response) and answer.response.job_id == job_id
    assert (own.streamed, other.streamed) == (1, 1)
    call.cancel()
    await other.stop()


@pytest.mark.parametrize("place", [0, 2])
async def test_a_trainer_that_shuts_down_ends_the_stream_after_its_answers(
    gateway: Gateway, database: Database, alice: Account, place: int
) -> None:
    job_id, _ = await add_job(database, alice)
    images = [bright(1)] * place + [b"the last"] + [bright(1)] * 3
    call = gateway.inference.PredictStream((message(image, job_id=job_id) for image in images), metadata=alice.metadata)
    for _ in range(place):
        assert isinstance(answer := await call.read(), Response) and answer.response.job_id == job_id
    error = await refused(call.read())
    # The trainer's own reason is lost when its end meets a question that is being written.
    assert error.code == grpc.StatusCode.UNAVAILABLE
    assert error.reason in ("SHUTTING_DOWN", "FRAMEWORK_UNAVAILABLE")


async def test_a_gateway_that_shuts_down_answers_what_it_read(
    gateway: Gateway, database: Database, alice: Account, counters: StandInTrainer
) -> None:
    job_id, _ = await add_job(database, alice)
    counters.answers_streams.clear()
    call = gateway.inference.PredictStream(metadata=alice.metadata)
    await call.write(message(bright(1), job_id=job_id))
    while counters.streamed == 0:
        await asyncio.sleep(0.01)
        assert not call.done()
    gateway.service.stop_streams()
    await asyncio.sleep(0.05)
    counters.answers_streams.set()
    assert isinstance(answer := await call.read(), Response) and answer.response.job_id == job_id
    assert (await refused(call.read())).reason == "SHUTTING_DOWN"


async def test_an_empty_stream_ends_well(gateway: Gateway, alice: Account) -> None:
    assert await stream(gateway, alice, []) == []
