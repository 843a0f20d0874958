"""Calls that come while a model computes are answered together, each by its own image and options."""

from __future__ import annotations

import asyncio

import pytest

from rpc.errors import DomainError
from tests.trainer.held_models import IMAGE, MakePool, Models, no_options, picture, until


def widths(count: int) -> list[int]:
    return [10 + number for number in range(count)]


async def test_what_waits_while_a_batch_is_computed_is_the_next_batch(models: Models, make_pool: MakePool) -> None:
    pool, source = make_pool(workers=4, queue=20, batch_size=4), models.publish("one")
    models.predicting.clear()
    first = asyncio.create_task(pool.predict(source, IMAGE, no_options))
    await until(lambda: models.busy("one"))
    calls = [asyncio.create_task(pool.predict(source, picture(width), no_options)) for width in widths(6)]
    await asyncio.sleep(0.2)  # all are prepared and wait
    models.predicting.set()
    answers = await asyncio.gather(*calls)
    await first

    assert [len(batch) for batch in models.loaded["one"].batches] == [1, 4, 2]
    # Each has the answer to its own image.
    assert [answer.prediction.classifications[0].label_id for answer in answers] == widths(6)
    assert [answer.image_width for answer in answers] == widths(6)
    pool.close()


async def test_a_model_that_takes_one_image_at_a_time_gets_one(models: Models, make_pool: MakePool) -> None:
    pool, source = make_pool(workers=4, queue=20, batch_size=8), models.publish("one")
    await pool.predict(source, IMAGE, no_options)
    models.loaded["one"].batch_size = 1
    await asyncio.gather(*(pool.predict(source, IMAGE, no_options) for _ in range(5)))

    assert [len(batch) for batch in models.loaded["one"].batches] == [1] * 6
    pool.close()


async def test_a_lone_call_waits_for_nobody(models: Models, make_pool: MakePool) -> None:
    pool, source = make_pool(batch_size=8, wait_seconds=1000), models.publish("one")

    # The test would not end if it waited.
    assert (await pool.predict(source, IMAGE, no_options)).model_name == "one"
    pool.close()


async def test_a_free_model_waits_for_images_on_their_way(models: Models, make_pool: MakePool) -> None:
    pool, source = make_pool(workers=1, batch_size=3, wait_seconds=1000), models.publish("one")
    await pool.predict(source, IMAGE, no_options)
    # One worker prepares them one after the other; without the wait the first would go alone.
    await asyncio.gather(*(pool.predict(source, IMAGE, no_options) for _ in range(5)))

    assert [len(batch) for batch in models.loaded["one"].batches] == [1, 3, 2]
    pool.close()


async def test_one_image_that_fails_does_not_fail_the_others(models: Models, make_pool: MakePool) -> None:
    pool, source = make_pool(workers=4, queue=20, batch_size=8), models.publish("one")
    models.predicting.clear()
    first = asyncio.create_task(pool.predict(source, IMAGE, no_options))
    await until(lambda: models.busy("one"))
    images = [picture(20), b"no image", picture(1), picture(21)]
    calls = [asyncio.create_task(pool.predict(source, image, no_options)) for image in images]
    await asyncio.sleep(0.2)
    models.predicting.set()
    good, unreadable, too_small, other = await asyncio.gather(*calls, return_exceptions=True)
    await first

    assert isinstance(unreadable, DomainError) and unreadable.reason == "IMAGE_UNREADABLE"
    assert isinstance(too_small, ValueError)
    assert not isinstance(good, BaseException) and good.prediction.classifications[0].label_id == 20
    assert not isinstance(other, BaseException) and other.prediction.classifications[0].label_id == 21
    pool.close()


async def test_a_cancelled_call_is_not_computed(models: Models, make_pool: MakePool) -> None:
    pool, source = make_pool(workers=4, queue=20, batch_size=8), models.publish("one")
    models.predicting.clear()
    first = asyncio.create_task(pool.predict(source, IMAGE, no_options))
    await until(lambda: models.busy("one"))
    calls = [asyncio.create_task(pool.predict(source, picture(width), no_options)) for width in (30, 31, 32)]
    await asyncio.sleep(0.2)
    calls[1].cancel()
    await asyncio.gather(calls[1], return_exceptions=True)
    models.predicting.set()
    await asyncio.gather(first, calls[0], calls[2])

    assert [sorted(batch) for batch in models.loaded["one"].batches[1:]] == [[30, 32]]
    pool.close()


async def test_a_patient_call_waits_for_a_place_where_others_are_refused(models: Models, make_pool: MakePool) -> None:
    pool, source = make_pool(workers=1, queue=1), models.publish("one")
    models.predicting.clear()
    calls = [asyncio.create_task(pool.predict(source, IMAGE, no_options)) for _ in range(2)]
    await until(lambda: models.busy("one"))
    patient = asyncio.create_task(pool.predict(source, IMAGE, no_options, patient=True))
    given_up = asyncio.create_task(pool.predict(source, IMAGE, no_options, patient=True))
    await asyncio.sleep(0.05)
    given_up.cancel()
    with pytest.raises(DomainError, match="try again"):
        await pool.predict(source, IMAGE, no_options)
    models.predicting.set()
    await asyncio.gather(*calls, patient)

    assert given_up.cancelled()
    assert models.loaded["one"].answered == 3
    # Every place was given back.
    models.predicting.clear()
    again = [asyncio.create_task(pool.predict(source, IMAGE, no_options)) for _ in range(2)]
    await asyncio.sleep(0.05)
    assert not any(call.done() for call in again)
    models.predicting.set()
    await asyncio.gather(*again)
    pool.close()
