"""What agents are told: to stop, or that they no longer count."""

from __future__ import annotations

import asyncio

from storage.database.events import EventRepository
from storage.database.jobs import JobRepository
from tests.gateway.conftest import Account
from tests.gateway.job_agent import ABANDON, STOP, TRAINING, Script
from tests.gateway.job_client import JobClient, log_of
from tests.gateway.job_fixtures import Mesh
from tests.gateway.job_gateway import GatewayTimes
from tests.gateway.waiting import until

QUICK = GatewayTimes(contact_lost_seconds=0.3, lease_seconds=1.0)


async def test_a_connected_agent_is_told_to_stop(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    await ada.stop(script.run.job_id)
    assert await agent.told() == STOP
    await agent.send(script.end("STOPPED"))
    assert await ada.state(script.run.job_id) == "STOPPED"


async def test_an_agent_that_connects_later_is_told_to_stop(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    await agent.cut()
    await ada.stop(script.run.job_id)
    later = mesh.connect(script.run)
    assert await later.hello() == {TRAINING: 1}
    assert await later.told() == STOP


async def test_a_stop_outlives_the_gateway(mesh: Mesh, ada: JobClient, alice: Account) -> None:
    script, agent = await mesh.running(ada)
    await agent.cut()
    await ada.stop(script.run.job_id)
    await mesh.reopen()
    later = mesh.connect(script.run)
    await later.say_hello()
    assert await later.told() == STOP
    await later.send(script.end("STOPPED"))
    ada = mesh.client(alice, ada.dataset_id)
    assert await ada.state(script.run.job_id) == "STOPPED"


async def superseded(mesh: Mesh, ada: JobClient) -> Script:
    """A run whose agent was silent for too long and whose job runs again."""
    script, agent = await mesh.running(ada, max_restarts=0)
    await agent.cut()
    await ada.until_state(script.run.job_id, "FAILED")
    await ada.start(script.run.job_id)
    await mesh.run_of(script.run.job_id, attempt=2)
    return script


async def test_an_agent_of_a_superseded_run_is_told_to_abandon(closed_mesh: Mesh, alice: Account, pets: str) -> None:
    mesh = closed_mesh
    await mesh.open(QUICK)
    ada = mesh.client(alice, pets)
    script = await superseded(mesh, ada)
    before = await log_of(mesh.database, script.run.job_id)
    returned = mesh.connect(script.run)
    await returned.say_hello()
    assert await returned.told() == ABANDON
    after = await log_of(mesh.database, script.run.job_id)
    assert after[: len(before)] == before  # the new run may have gone on
    positions = await mesh.database.read(lambda session: EventRepository(session).positions(script.run.run_id))
    assert positions["training"] == 1


async def test_an_agent_whose_run_another_gateway_gave_up_is_told_at_a_heartbeat(
    closed_mesh: Mesh, alice: Account, pets: str
) -> None:
    mesh = closed_mesh
    await mesh.open(GatewayTimes(contact_lost_seconds=0.2))
    script, agent = await mesh.running(mesh.client(alice, pets))
    await mesh.database.write(lambda session: JobRepository(session).end_run(script.run.run_id, "LEASE_EXPIRED"))
    async with asyncio.timeout(20):
        while not agent.commands:
            await agent.beat()
            answer = await agent.read()
            if not answer.HasField("acknowledgement"):
                agent.commands.append(answer.command)
            await asyncio.sleep(0.02)
    assert await agent.told() == ABANDON


async def test_an_agent_that_is_still_connected_when_its_run_is_given_up(
    closed_mesh: Mesh, alice: Account, pets: str
) -> None:
    """Its network fell silent for a lease; its stream is still open."""
    mesh = closed_mesh
    await mesh.open(QUICK)
    ada = mesh.client(alice, pets)
    script, agent = await mesh.running(ada, max_restarts=0)
    await ada.until_state(script.run.job_id, "FAILED")
    assert await agent.told() == ABANDON
    await until(lambda: bool(mesh.trainer.stopped), 20)
    assert [request.run_id for request in mesh.trainer.stopped if request.kill] == [script.run.run_id]
    await agent.post(script.metric(1))
    assert await agent.told() == ABANDON
    assert (await ada.metrics(script.run.job_id)).total_size == 0
    again = mesh.connect(script.run)
    await again.say_hello()
    assert await again.told() == ABANDON
