"""Models are loaded once, shared, and dropped when memory is short, from a real store through the real cache.

The model itself is a stand-in that can be held up, so that what happens meanwhile can be seen.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from dataclasses import replace

from rpc.errors import DomainError
from storage.objects.local import LocalObjectStore
from tests.trainer.held_models import IMAGE, MakePool, Models, names, no_options, refusal, until
from tests.trainer.publishing import publish_checkpoint
from trainer.converters import checkpoint_source


async def test_calls_at_the_same_time_share_one_load(models: Models, make_pool: MakePool) -> None:
    pool, source = make_pool(workers=4), models.publish("one")

    answers = await asyncio.gather(*(pool.predict(source, IMAGE, no_options) for _ in range(8)))

    assert models.loads == ["one"]
    assert models.loaded["one"].answered == 8
    assert {(answer.model_name, answer.image_width, answer.image_height) for answer in answers} == {("one", 6, 4)}
    assert answers[0].prediction.classifications[0].label == "a"
    pool.close()


async def test_the_time_reported_leaves_out_loading_and_waiting(models: Models, make_pool: MakePool) -> None:
    pool, source = make_pool(workers=4), models.publish("one")
    models.loading.clear()
    calls = [asyncio.create_task(pool.predict(source, IMAGE, no_options)) for _ in range(3)]
    await until(lambda: models.loads)
    await asyncio.sleep(0.2)
    models.loading.set()

    assert all(answer.inference_seconds < 0.1 for answer in await asyncio.gather(*calls))
    pool.close()


async def test_the_least_recently_used_goes_when_memory_is_short(models: Models, make_pool: MakePool) -> None:
    pool = make_pool(memory_bytes=250)
    first, second, third = (models.publish(name) for name in ("first", "second", "third"))
    for source in (first, second, first, third):
        await pool.predict(source, IMAGE, no_options)

    await until(lambda: names(pool) == ["third", "first"])
    await pool.predict(second, IMAGE, no_options)
    assert models.loads == ["first", "second", "third", "second"]
    pool.close()


async def test_a_dropped_model_is_freed_though_it_refers_to_itself(models: Models, make_pool: MakePool) -> None:
    pool = make_pool(memory_bytes=150)
    first, second = models.publish("first"), models.publish("second")
    gc.disable()  # nothing else frees it here
    try:
        await pool.predict(first, IMAGE, no_options)
        dropped = models.loaded.pop("first")
        dropped.itself = dropped
        freed = weakref.ref(dropped)
        del dropped
        await pool.predict(second, IMAGE, no_options)
        await until(lambda: freed() is None)
    finally:
        gc.enable()
    pool.close()


async def test_a_model_in_use_stays_and_the_limit_holds_again_afterwards(models: Models, make_pool: MakePool) -> None:
    pool = make_pool(memory_bytes=150)
    held, other = models.publish("held"), models.publish("other")
    models.predicting.clear()
    calls = [asyncio.create_task(pool.predict(source, IMAGE, no_options)) for source in (held, other)]
    await until(lambda: models.busy("held") and models.busy("other"))
    assert len(pool.loaded()) == 2
    models.predicting.set()
    await asyncio.gather(*calls)

    # Whichever ended first had to go, since the other was still in use.
    await until(lambda: len(pool.loaded()) == 1)
    pool.close()


async def test_a_model_larger_than_the_limit_answers_and_goes(models: Models, make_pool: MakePool) -> None:
    pool = make_pool(memory_bytes=50)
    await pool.predict(models.publish("large"), IMAGE, no_options)

    await until(lambda: names(pool) == [])
    pool.close()


async def test_a_full_queue_refuses_at_once_and_says_when_to_try_again(models: Models, make_pool: MakePool) -> None:
    pool, source = make_pool(workers=1, queue=2), models.publish("one")
    models.predicting.clear()
    calls = [asyncio.create_task(pool.predict(source, IMAGE, no_options)) for _ in range(3)]
    await asyncio.sleep(0)
    error = await refusal(pool.predict(source, IMAGE, no_options))
    models.predicting.set()

    assert (error.reason, error.retry_seconds) == ("BUSY", 1.0)
    assert len(await asyncio.gather(*calls)) == 3
    await until(lambda: models.loaded["one"].answered == 3)
    await pool.predict(source, IMAGE, no_options)
    pool.close()


async def test_a_cancelled_call_leaves_the_queue(models: Models, make_pool: MakePool) -> None:
    pool, source = make_pool(workers=1, queue=1), models.publish("one")
    models.predicting.clear()
    running = asyncio.create_task(pool.predict(source, IMAGE, no_options))
    await until(lambda: models.busy("one"))
    waiting = asyncio.create_task(pool.predict(source, IMAGE, no_options))
    await asyncio.sleep(0.05)
    assert (await refusal(pool.predict(source, IMAGE, no_options))).reason == "BUSY"

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.sleep(0.05)
    next_call = asyncio.create_task(pool.predict(source, IMAGE, no_options))
    await asyncio.sleep(0.05)
    models.predicting.set()
    await asyncio.gather(running, next_call)

    assert waiting.cancelled()
    assert models.loaded["one"].answered == 2
    pool.close()


async def test_a_call_cancelled_while_it_runs_keeps_its_place_until_its_thread_is_done(
    models: Models, make_pool: MakePool
) -> None:
    pool, source = make_pool(workers=1, queue=0, memory_bytes=50), models.publish("one")
    models.predicting.clear()
    running = asyncio.create_task(pool.predict(source, IMAGE, no_options))
    await until(lambda: models.busy("one"))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert (await refusal(pool.predict(source, IMAGE, no_options))).reason == "BUSY"
    assert names(pool) == ["one"]
    models.predicting.set()
    await until(lambda: names(pool) == [])
    pool.close()


async def test_a_load_survives_the_call_that_began_it(models: Models, make_pool: MakePool) -> None:
    pool, source = make_pool(), models.publish("one")
    models.loading.clear()
    first = asyncio.create_task(pool.predict(source, IMAGE, no_options))
    await until(lambda: models.loads)
    second = asyncio.create_task(pool.predict(source, IMAGE, no_options))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    models.loading.set()

    assert (await second).model_name == "one"
    assert models.loads == ["one"]
    pool.close()


async def test_a_slow_load_does_not_hold_up_a_loaded_model(models: Models, make_pool: MakePool) -> None:
    pool, fast, slow = make_pool(workers=1), models.publish("fast"), models.publish("slow")
    await pool.predict(fast, IMAGE, no_options)
    models.loading.clear()
    waiting = asyncio.create_task(pool.predict(slow, IMAGE, no_options))
    await until(lambda: "slow" in models.loads)

    assert (await asyncio.wait_for(pool.predict(fast, IMAGE, no_options), 5)).model_name == "fast"
    assert not waiting.done()
    models.loading.set()
    await waiting
    pool.close()


async def test_a_bad_image_is_refused_and_takes_no_place(models: Models, make_pool: MakePool) -> None:
    pool, source = make_pool(workers=1, queue=0), models.publish("one")
    for _ in range(3):
        assert (await refusal(pool.predict(source, b"no image", no_options))).reason == "IMAGE_UNREADABLE"
        await asyncio.sleep(0.02)

    assert (await pool.predict(source, IMAGE, no_options)).model_name == "one"
    pool.close()


async def test_a_checkpoint_whose_bytes_changed_is_corrupt_until_they_are_right(
    models: Models, make_pool: MakePool, store: LocalObjectStore
) -> None:
    pool, source = make_pool(), models.publish("one")
    key = f"{source.storage_path}weights.safetensors"
    good = store.get(key)
    store.put(key, good[:-1] + b"x")
    calls = [pool.predict(source, IMAGE, no_options) for _ in range(2)]
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert [error.reason for error in errors if isinstance(error, DomainError)] == ["STORAGE_CORRUPT"] * 2

    store.put(key, good)
    assert (await pool.predict(source, IMAGE, no_options)).model_name == "one"
    pool.close()


async def test_a_checkpoint_that_is_gone_or_no_checkpoint_is_corrupt(
    models: Models, make_pool: MakePool, store: LocalObjectStore
) -> None:
    pool, source = make_pool(), models.publish("one")
    gone = replace(source, storage_path="checkpoints/elsewhere/")
    nonsense = checkpoint_source(publish_checkpoint(store, "bad", {"weights.safetensors": b"\xff" * 100}))
    empty = checkpoint_source(publish_checkpoint(store, "empty", {"notes.txt": b""}))

    for broken in (gone, nonsense, empty):
        error = await refusal(pool.predict(broken, IMAGE, no_options))
        assert error.reason == "STORAGE_CORRUPT"
        assert error.metadata["checkpoint_id"] == broken.checkpoint_id
    pool.close()
