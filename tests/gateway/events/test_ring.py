"""The ring of a live job: it never pretends to hold what it does not."""

from __future__ import annotations

import asyncio

from gateway.events.live import LiveJob, LiveLog
from storage.database.events import StoredEvent


def stored(*sequences: int) -> list[StoredEvent]:
    return [StoredEvent(sequence, "LOG", b"") for sequence in sequences]


def after(job: LiveJob, sequence: int) -> list[int] | None:
    events = job.after(sequence)
    return None if events is None else [event.sequence for event in events]


def test_the_newest_events_are_kept() -> None:
    job = LiveJob(3)
    assert after(job, 0) is None
    job.publish(stored(1, 2), "RUNNING")
    assert (after(job, 0), after(job, 1), after(job, 2), after(job, 9)) == ([1, 2], [2], [], [])
    job.publish(stored(3, 4, 5), "RUNNING")
    assert (after(job, 1), after(job, 2), after(job, 4)) == (None, [3, 4, 5], [5])


async def test_a_commit_that_is_overtaken_leaves_no_gap() -> None:
    job = LiveJob(10)
    job.publish(stored(1, 2), "RUNNING")
    job.publish(stored(5), "COMPLETED")  # 3 and 4 were committed before, and are told later
    assert (job.last_sequence, job.state) == (5, "COMPLETED")
    assert (after(job, 2), after(job, 3), after(job, 4)) == (None, None, [5])
    waiter = asyncio.get_running_loop().create_future()
    with job.waiting(waiter):
        job.publish(stored(3, 4), "RUNNING")
    assert waiter.done()
    assert (job.last_sequence, job.state, after(job, 2)) == (5, "COMPLETED", None)
    job.publish(stored(6), "COMPLETED")
    assert after(job, 4) == [5, 6]


def test_many_who_ask_for_the_same_get_the_same_answer_until_something_happens() -> None:
    job = LiveJob(100)
    job.publish(stored(*range(1, 61)), "RUNNING")
    assert job.after(50) is job.after(50)
    assert (after(job, 50), after(job, 0)) == ([*range(51, 61)], [*range(1, 61)])
    job.publish(stored(61), "RUNNING")
    assert (after(job, 0), after(job, 60), after(job, 61)) == ([*range(1, 62)], [61], [])
    job.advance(70, "RUNNING")
    assert (after(job, 0), after(job, 61)) == (None, None)


async def test_a_watcher_that_waits_no_more_is_forgotten() -> None:
    job = LiveJob(10)
    first, second = (asyncio.get_running_loop().create_future() for _ in range(2))
    with job.waiting(first):
        pass
    with job.waiting(second):
        second.cancel()
        job.wake()
    assert not first.done() and not job._waiters


def test_what_the_database_says_is_taken_over_unless_it_is_older() -> None:
    job = LiveJob(10)
    job.publish(stored(4, 5), "RUNNING")
    job.advance(3, "PREPARING")
    assert (job.last_sequence, job.state, after(job, 3)) == (5, "RUNNING", [4, 5])
    job.advance(8, "FAILED")  # by another gateway, perhaps
    assert (job.last_sequence, job.state, after(job, 5)) == (8, "FAILED", None)


def test_a_job_that_has_ended_stays_only_while_it_is_watched() -> None:
    live = LiveLog(10)
    live.publish("job_1", stored(1), "RUNNING")
    with live.attach("job_1") as first, live.attach("job_1") as second:
        assert first is second and first.last_sequence == 1
        live.publish("job_1", stored(2), "COMPLETED")
        assert first.last_sequence == 2
        with live.attach("job_1") as third:
            assert third is first
    with live.attach("job_1") as later:
        assert (later is first, later.last_sequence) == (False, 0)
