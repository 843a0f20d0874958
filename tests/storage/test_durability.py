from __future__ import annotations

import asyncio
import subprocess
import sys

from storage.database.engine import Database
from storage.database.events import EventRepository
from storage.database.jobs import JobRepository
from tests.storage import builders

# Appends events for ever and prints each sequence once it was acknowledged.
WRITER = """
import asyncio, sys
from storage.database.engine import Database
from storage.database.events import EventRepository
from tests.storage import builders

async def main(url, job_id):
    database = Database(url)
    number = 0
    while True:
        number += 1
        event = builders.event("run_1", number)
        [(_, stored)] = await database.write(lambda session: EventRepository(session).append(job_id, [event]))
        print(stored.sequence, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


def kill_a_writer(url: str, job_id: str) -> list[int]:
    """Kills a writing process in the middle of whatever it does; returns what it had acknowledged."""
    command = [sys.executable, "-c", WRITER, url, job_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(20)]
        writer.kill()  # SIGKILL
        return acknowledged + [int(line) for line in writer.stdout.read().split()]


async def test_a_killed_process_loses_nothing_acknowledged(database_url: str, database: Database, user_id: str) -> None:
    job_id = (await database.write(lambda session: JobRepository(session).add(builders.job(user_id)))).id
    acknowledged = await asyncio.to_thread(kill_a_writer, database_url, job_id)
    events = await database.read(lambda session: EventRepository(session).page(job_id, 0, 100_000))
    numbers = [event.sequence for event in events]
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers[: len(acknowledged)] == acknowledged
    assert len(numbers) - len(acknowledged) <= 1  # at most the one that was stored and not yet printed
    next_event = builders.event("run_1", len(numbers) + 1)
    [(_, stored)] = await database.write(lambda session: EventRepository(session).append(job_id, [next_event]))
    assert stored.sequence == len(numbers) + 1
