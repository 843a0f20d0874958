"""Who writes a spool wakes the agent; where no pipe can be had, the agent looks now and then."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from rpc.channel import MAX_MESSAGE_BYTES
from tests.trainer.fake_gateway import RUN_TOKEN, FakeGateway
from trainer.runs import publisher as publishing
from trainer.runs.bell import Bell, Ringer
from trainer.runs.folder import RunFolder
from trainer.runs.pending import PendingEvents
from trainer.runs.publisher import EventPublisher
from visionmesh.mesh.v1 import run_pb2

REPOSITORY = Path(__file__).parents[2]
TRAINING = run_pb2.EVENT_SOURCE_TRAINING
WRITE = """
import sys
from pathlib import Path
from trainer.runs.reporter import SpoolReporter
from trainer.runs.folder import RunFolder
reporter = SpoolReporter(RunFolder(Path(sys.argv[1])), [])
for line in sys.stdin:
    reporter.log("info", line)
"""


async def rung(bell: asyncio.Event) -> None:
    async with asyncio.timeout(20):
        await bell.wait()
    bell.clear()


async def test_a_bell_is_heard_once_however_often_it_is_rung(tmp_path: Path) -> None:
    heard = asyncio.Event()
    times = 0

    def hear() -> None:
        nonlocal times
        times += 1
        heard.set()

    with closing(Bell(tmp_path / "bell", hear)):
        ringer = Ringer(tmp_path / "bell")
        for _ in range(100):
            ringer.ring()
        await rung(heard)
        assert times == 1
        for _ in range(100_000):  # more than a pipe holds, and nobody waits
            ringer.ring()
        await rung(heard)
        ringer.close()
    assert not (tmp_path / "bell").exists()


async def test_ringing_where_nobody_listens_is_no_error(tmp_path: Path) -> None:
    ringer, heard = Ringer(tmp_path / "bell"), asyncio.Event()
    ringer.ring()
    with closing(Bell(tmp_path / "bell", heard.set)):
        ringer.ring()
        await rung(heard)
    ringer.ring()  # its agent is gone
    with closing(Bell(tmp_path / "bell", heard.set)):  # another one
        ringer.ring()
        ringer.ring()
        await rung(heard)
    os.mkfifo(tmp_path / "left")  # by an agent that was killed
    Ringer(tmp_path / "left").ring()


def publisher(folder: RunFolder, gateway: FakeGateway, bell: Path) -> EventPublisher:
    return EventPublisher(
        run_pb2.RunSpec(run_id="run", job_id="job"),
        PendingEvents(folder),
        bell=bell,
        target=gateway.target,
        token=RUN_TOKEN,
        max_message_bytes=MAX_MESSAGE_BYTES,
        heartbeat_seconds=2.0,
        request_stop=lambda: None,
    )


@pytest.mark.parametrize("pipes", [True, False])
async def test_what_another_process_tells_is_published_as_it_comes(
    tmp_path: Path, pipes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if pipes:
        monkeypatch.setattr(publishing, "POLL_SECONDS", 3600.0)  # only the bell can wake it
    bell = tmp_path / "bell" if pipes else tmp_path / "no folder" / "bell"
    gateway = FakeGateway()
    await gateway.start()
    publish = asyncio.create_task(publisher(RunFolder(tmp_path), gateway, bell).run())
    training = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITE, str(tmp_path), cwd=REPOSITORY, stdin=asyncio.subprocess.PIPE
    )
    assert training.stdin is not None

    def arrived(number: int) -> bool:
        return gateway.position("run", TRAINING) == number

    try:
        await gateway.until(lambda: gateway.hellos)
        for number in range(1, 31):
            training.stdin.write(b"a line\n")
            await training.stdin.drain()
            if number % 3 == 0:  # and some come while others are under way
                await gateway.until(partial(arrived, number))
    finally:
        training.stdin.close()
        await training.wait()
        publish.cancel()
        await asyncio.gather(publish, return_exceptions=True)
        await gateway.stop()
    assert not gateway.gaps
