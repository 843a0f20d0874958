"""A run that is out of contact: shown at first, given up after a lease."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from storage.database.tables import now
from tests.gateway.conftest import Account
from tests.gateway.job_agent import TRAINING, Script
from tests.gateway.job_client import JobClient, kinds, log_of, short
from tests.gateway.job_fixtures import Mesh
from tests.gateway.job_gateway import GatewayTimes
from tests.gateway.waiting import until

# Seen to be lost soon, given up never; and both soon.
PATIENT = GatewayTimes(contact_lost_seconds=0.3, lease_seconds=600)
QUICK = GatewayTimes(contact_lost_seconds=0.3, lease_seconds=1.0)


async def opened(mesh: Mesh, times: GatewayTimes, alice: Account, pets: str) -> JobClient:
    await mesh.open(times)
    return mesh.client(alice, pets)


async def test_silence_shows_and_a_sign_of_life_clears_it(closed_mesh: Mesh, alice: Account, pets: str) -> None:
    ada = await opened(closed_mesh, PATIENT, alice, pets)
    before = now()
    script, agent = await closed_mesh.running(ada)
    job_id = script.run.job_id
    lost = await ada.until(job_id, lambda job: job.HasField("contact_lost_time"))
    assert short(lost.state) == "RUNNING"

    async def cleared_by(sign_of_life: Callable[[], Awaitable[object]]) -> None:
        async with asyncio.timeout(20):
            await sign_of_life()
            while (await ada.get(job_id)).HasField("contact_lost_time"):
                await sign_of_life()  # silence may have been seen once more meanwhile

    since = lost.contact_lost_time.ToDatetime(tzinfo=before.tzinfo)
    assert before - timedelta(seconds=1) < since < now()
    await cleared_by(agent.heartbeat)
    await ada.until(job_id, lambda job: job.HasField("contact_lost_time"))
    metric = script.metric(1)
    await cleared_by(lambda: agent.send(metric))
    await agent.cut()
    await ada.until(job_id, lambda job: job.HasField("contact_lost_time"))
    await cleared_by(lambda: closed_mesh.agent(script.run))  # hello is a sign of life too


async def test_a_lease_that_ends_fails_the_job_so_that_it_can_be_resumed(
    closed_mesh: Mesh, alice: Account, pets: str
) -> None:
    ada = await opened(closed_mesh, QUICK, alice, pets)
    script, agent = await closed_mesh.running(ada, max_restarts=0)
    job_id = script.run.job_id
    await agent.send(script.checkpoint(1))
    await agent.cut()
    failed = await ada.until_state(job_id, "FAILED")
    assert failed.failure.reason == "LEASE_EXPIRED"
    assert (failed.failure.metadata["run_id"], failed.failure.metadata["lease_seconds"]) == (script.run.run_id, "1")
    assert failed.HasField("end_time") and not failed.HasField("contact_lost_time")
    assert kinds(await log_of(closed_mesh.database, job_id))[-2:] == ["attempt_end", "state_change"]
    # The trainer may still have it.
    await until(lambda: bool(closed_mesh.trainer.stopped), 20)
    [request] = closed_mesh.trainer.stopped
    assert (request.run_id, request.kill) == (script.run.run_id, True)
    await ada.start(job_id, resume=True)
    again = await closed_mesh.run_of(job_id, attempt=2)
    assert again.resume_from.epoch == 1


async def test_a_run_whose_agent_never_spoke_is_given_up_too(closed_mesh: Mesh, alice: Account, pets: str) -> None:
    ada = await opened(closed_mesh, QUICK, alice, pets)
    for stopping in (False, True):
        run = await closed_mesh.preparing(ada, max_restarts=0)
        if stopping:
            await ada.stop(run.job_id)
        assert (await ada.until_state(run.job_id, "FAILED")).failure.reason == "LEASE_EXPIRED"


async def test_heartbeats_keep_the_lease(closed_mesh: Mesh, alice: Account, pets: str) -> None:
    ada = await opened(closed_mesh, GatewayTimes(contact_lost_seconds=1.0, lease_seconds=1.5), alice, pets)
    script, agent = await closed_mesh.running(ada)
    silent, _ = await closed_mesh.running(ada, max_restarts=0)
    async with asyncio.timeout(20):
        while await ada.state(silent.run.job_id) != "FAILED":  # for more than a lease
            await agent.heartbeat()
            await asyncio.sleep(0.05)
    assert await ada.state(script.run.job_id) == "RUNNING"


async def test_a_gateway_that_restarts_waits_before_it_judges(closed_mesh: Mesh, alice: Account, pets: str) -> None:
    ada = await opened(closed_mesh, QUICK, alice, pets)
    script, agent = await closed_mesh.running(ada)
    other, _ = await closed_mesh.running(ada, max_restarts=0)
    await closed_mesh.gateway.kill()
    await agent.cut()
    await asyncio.sleep(2.2)  # longer than the lease of the next gateway, and nobody could renew one
    ada = await opened(closed_mesh, GatewayTimes(contact_lost_seconds=0.3, lease_seconds=2.0), alice, pets)
    await asyncio.sleep(0.3)  # it has looked a few times
    assert await ada.state(script.run.job_id) == await ada.state(other.run.job_id) == "RUNNING"
    back = await closed_mesh.agent(script.run)
    async with asyncio.timeout(20):
        while await ada.state(other.run.job_id) == "RUNNING":
            await back.heartbeat()
            await asyncio.sleep(0.05)
    assert (await ada.get(other.run.job_id)).failure.reason == "LEASE_EXPIRED"  # that one never came back
    await back.send(script.end())
    assert await ada.state(script.run.job_id) == "COMPLETED"


async def test_a_gateway_that_stood_still_waits_before_it_judges(closed_mesh: Mesh, alice: Account, pets: str) -> None:
    ada = await opened(closed_mesh, GatewayTimes(contact_lost_seconds=0.3, lease_seconds=2.0), alice, pets)
    script, agent = await closed_mesh.running(ada)
    silent, _ = await closed_mesh.running(ada)
    await agent.heartbeat()
    time.sleep(3.0)  # noqa: ASYNC251 - the gateway is in this process, and nothing of it goes on
    await asyncio.sleep(0.3)  # it has looked a few times
    assert await ada.state(script.run.job_id) == await ada.state(silent.run.job_id) == "RUNNING"
    async with asyncio.timeout(20):
        while await ada.state(silent.run.job_id) == "RUNNING":
            await agent.heartbeat()
            await asyncio.sleep(0.05)
    assert await ada.state(script.run.job_id) == "RUNNING"


async def test_an_agent_that_waits_for_a_slow_database_is_in_contact(
    closed_mesh: Mesh, alice: Account, pets: str
) -> None:
    ada = await opened(closed_mesh, GatewayTimes(contact_lost_seconds=0.3, lease_seconds=2.0), alice, pets)
    script, agent = await closed_mesh.running(ada)
    # Shown already: nothing but the end of the lease is left to write.
    await ada.until(script.run.job_id, lambda job: job.HasField("contact_lost_time"))
    released = threading.Event()
    waiting = asyncio.create_task(closed_mesh.gateway.database.write(lambda session: released.wait(20)))
    await agent.post(script.metric(1))
    await asyncio.sleep(2.5)  # more than a lease
    released.set()
    await waiting
    assert await agent.acknowledged() == {TRAINING: 2}
    for _ in range(10):  # what was decided meanwhile would be done by now
        assert await agent.heartbeat() == {TRAINING: 2}
        await asyncio.sleep(0.05)
    assert await ada.state(script.run.job_id) == "RUNNING"


async def test_what_has_ended_needs_no_contact(closed_mesh: Mesh, alice: Account, pets: str) -> None:
    ada = await opened(closed_mesh, QUICK, alice, pets)
    done = await closed_mesh.preparing(ada)
    await closed_mesh.deliver(done, Script(done).end())
    silent, _ = await closed_mesh.running(ada, max_restarts=0)
    await ada.until_state(silent.run.job_id, "FAILED")  # a lease has passed
    job = await ada.get(done.job_id)
    assert (short(job.state), job.HasField("contact_lost_time")) == ("COMPLETED", False)
