"""What was read of a job and is kept until the job changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.events.kept_reads import KeptReads


def reader(*answers: bytes) -> tuple[Callable[[], Awaitable[bytes]], list[bytes]]:
    """A read that gives one answer after the other, and the answers it has not given yet."""
    left = list(answers)

    async def read() -> bytes:
        return left.pop(0)

    return read, left


async def test_a_job_that_does_not_change_is_read_once() -> None:
    kept = KeptReads[bytes]()
    read, left = reader(b"first", b"second")

    assert [await kept.get("job", "anna", read) for _ in range(3)] == [b"first"] * 3
    assert left == [b"second"]


async def test_a_job_that_changed_is_read_again() -> None:
    kept = KeptReads[bytes]()
    read, _ = reader(b"first", b"second")
    await kept.get("job", "anna", read)

    kept.forget("job")

    assert await kept.get("job", "anna", read) == b"second"


async def test_what_was_read_before_a_change_is_not_kept_after_it() -> None:
    kept = KeptReads[bytes]()
    may_finish = asyncio.Event()

    async def slow() -> bytes:
        await may_finish.wait()
        return b"before"

    slowly = asyncio.create_task(kept.get("job", "anna", slow))
    await asyncio.sleep(0)
    kept.forget("job")
    may_finish.set()

    assert await slowly == b"before"
    read, _ = reader(b"after")
    assert await kept.get("job", "anna", read) == b"after"


async def test_an_answer_is_given_to_its_user_alone() -> None:
    kept = KeptReads[bytes]()
    annas, _ = reader(b"anna's")
    await kept.get("job", "anna", annas)

    bens, left = reader(b"what ben may see")
    assert await kept.get("job", "ben", bens) == b"what ben may see"
    assert left == []


async def test_the_answers_asked_for_least_recently_go_first() -> None:
    kept = KeptReads[bytes](limit=2)
    for job_id in ("a", "b", "a", "c"):
        await kept.get(job_id, "anna", reader(job_id.encode())[0])

    read, left = reader(b"again")
    assert await kept.get("a", "anna", read) == b"a"
    assert await kept.get("b", "anna", read) == b"again"
    assert left == []


async def test_nothing_is_kept_while_changes_of_others_cannot_be_heard() -> None:
    kept = KeptReads[bytes]()
    read, left = reader(b"kept", b"first", b"second", b"third", b"fourth")
    await kept.get("job", "anna", read)

    kept.suspend()
    assert [await kept.get("job", "anna", read) for _ in range(2)] == [b"first", b"second"]
    kept.resume()
    assert [await kept.get("job", "anna", read) for _ in range(2)] == [b"third"] * 2
    assert left == [b"fourth"]


async def test_what_was_read_before_changes_could_be_heard_is_not_kept_after_it() -> None:
    kept = KeptReads[bytes]()
    may_finish = asyncio.Event()

    async def slow() -> bytes:
        await may_finish.wait()
        return b"before"

    kept.suspend()
    slowly = asyncio.create_task(kept.get("job", "anna", slow))
    await asyncio.sleep(0)
    kept.resume()
    may_finish.set()

    assert await slowly == b"before"
    read, _ = reader(b"after")
    assert await kept.get("job", "anna", read) == b"after"


async def test_a_read_may_say_that_it_is_not_to_be_kept() -> None:
    kept = KeptReads[bytes]()
    read, _ = reader(b"first", b"second")

    async def once() -> bytes:
        kept.forget("job")
        return await read()

    assert await kept.get("job", "anna", once) == b"first"
    assert await kept.get("job", "anna", read) == b"second"
