"""Agents of a real gateway that lie, meddle or stumble: each is refused and logged, and no job is harmed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest

from gateway.telemetry.event_rules import MAX_BATCH_EVENTS
from storage.database.events import EventRepository
from storage.database.jobs import JobRepository
from tests.gateway.job_agent import ABANDON, AGENT, LOG, TRAINING, Connection
from tests.gateway.job_client import kinds
from tests.gateway.telemetry.forgeries import forgeries
from tests.gateway.telemetry.real_runs import RealRun, RealRuns
from tests.gateway_process import GatewayProcess
from visionmesh.errors import VisionMeshError, from_rpc
from visionmesh.mesh.v1 import run_pb2, telemetry_pb2, telemetry_service_pb2_grpc
from visionmesh.v1 import event_pb2, training_pb2, training_service_pb2_grpc

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
Request = telemetry_pb2.PublishEventsRequest


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("gateway")
    with GatewayProcess(folder, VISIONMESH_LOG_JSON="true", VISIONMESH_LEASE_SECONDS="3600") as running:
        yield running


@pytest.fixture
async def runs(gateway: GatewayProcess) -> AsyncIterator[RealRuns]:
    made = RealRuns(gateway)
    yield made
    await made.close()


async def refusal(connection: Connection) -> VisionMeshError:
    return from_rpc(await connection.refusal())


async def log_of(runs: RealRuns, run: RealRun) -> list[event_pb2.JobEvent]:
    stored = await runs.in_database(lambda session: EventRepository(session).page(run.spec.job_id, 0, 100_000))
    return [event_pb2.JobEvent.FromString(event.payload) for event in stored]


async def test_what_is_not_the_token_of_a_run_opens_nothing(runs: RealRuns, gateway: GatewayProcess) -> None:
    run = await runs.begin()
    for token in ("wrong", "a-token-of-the-tests", gateway.token, run.spec.run_id, run.token + "x", run.token.upper()):
        stranger = runs.connect(run, token=token)
        refused = await refusal(stranger)  # before it has said anything
        assert (refused.code, refused.reason) == (UNAUTHENTICATED, "TOKEN_INVALID"), token
    for metadata, reason in (
        ((), "TOKEN_MISSING"),
        ((("authorization", run.token),), "TOKEN_INVALID"),
        ((("authorization", f"Basic {run.token}"),), "TOKEN_INVALID"),
    ):
        async with grpc.aio.insecure_channel(gateway.mesh_address) as channel:
            call = telemetry_service_pb2_grpc.TelemetryServiceStub(channel).PublishEvents(metadata=metadata)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
        assert (caught.value.code(), from_rpc(caught.value).reason) == (UNAUTHENTICATED, reason)
    assert (await runs.connect(run).hello()) == {}


async def test_the_token_of_a_run_opens_no_public_call(runs: RealRuns, gateway: GatewayProcess) -> None:
    run = await runs.begin()
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub = training_service_pb2_grpc.TrainingServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetJob(
                training_pb2.GetJobRequest(job_id=run.spec.job_id),
                metadata=(("authorization", f"Bearer {run.token}"),),
            )
    assert from_rpc(caught.value).reason == "TOKEN_INVALID"


async def test_a_token_is_kept_as_a_digest_alone(runs: RealRuns, gateway: GatewayProcess) -> None:
    run = await runs.begin()
    await runs.agent(run)
    files = [path for path in gateway.folder.iterdir() if path.suffix in (".db", ".db-wal", ".log")]
    assert len(files) == 3
    assert not [path.name for path in files if run.token.encode() in path.read_bytes()]


async def test_an_agent_publishes_to_its_own_run_and_job_alone(runs: RealRuns) -> None:
    own, other = await runs.begin(), await runs.begin()
    beside = await runs.agent(other)
    mine, theirs = own.spec, other.spec
    for run_id, job_id in (
        (theirs.run_id, theirs.job_id),
        (mine.run_id, theirs.job_id),
        (theirs.run_id, mine.job_id),
        (mine.run_id, ""),
        ("run_none", "job_none"),
    ):
        meddling = runs.connect(own, run_pb2.RunSpec(run_id=run_id, job_id=job_id))
        await meddling.say_hello()
        refused = await refusal(meddling)
        # Whether there is such a run is not told.
        assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "RUN_NOT_ALLOWED")
    assert [line["reason"] for line in runs.warnings(own)] == ["RUN_NOT_ALLOWED"] * 5
    assert runs.warnings(own)[0]["details"] == {"run_id": theirs.run_id, "job_id": theirs.job_id}
    assert await log_of(runs, own) == await log_of(runs, other) == []
    assert await beside.heartbeat() == {}
    assert (await (await runs.agent(own)).send(own.script.metric(1))) == {TRAINING: 1}


async def test_every_forged_event_is_refused_by_its_place_and_harms_nobody(runs: RealRuns) -> None:
    run, other = await runs.begin(), await runs.begin()
    honest, beside = await runs.agent(run), await runs.agent(other)
    good = run.script.line("with it")
    cases = list(forgeries(run.spec, other.spec))
    for field, event in cases:
        agent = await runs.agent(run)
        if event.source == LOG:
            event.source_sequence += 1  # behind the good one
        await agent.post(good, event)
        refused = await refusal(agent)
        told = [violation.field for violation in refused.violations]
        assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "EVENT_REFUSED"), (field, told)
        assert f"batch.events[1].{field}".rstrip(".") in told, (field, told)
        assert refused.metadata["source_sequence"] == str(event.source_sequence)
        assert refused.metadata["source"] == {TRAINING: "training", LOG: "log", AGENT: "agent"}.get(event.source, "")
        await agent.cut()
    warnings = runs.warnings(run)
    assert len(warnings) == len(cases) > 80 and {line["reason"] for line in warnings} == {"EVENT_REFUSED"}
    # Nothing of a refused batch was kept, and the streams beside them went on.
    assert await log_of(runs, run) == await log_of(runs, other) == []
    assert await honest.send(good, run.script.metric(1), run.script.checkpoint(1), run.script.end())
    assert await beside.send(other.script.metric(1), other.script.checkpoint(1), other.script.end())
    assert (await runs.job(run)).state == (await runs.job(other)).state == "COMPLETED"


async def test_a_checkpoint_takes_no_other_checkpoints_place(runs: RealRuns) -> None:
    theirs, own = await runs.begin(), await runs.begin()
    taken = theirs.script.checkpoint(1)
    await (await runs.agent(theirs)).send(taken)
    agent = await runs.agent(own)
    forged = own.script.checkpoint(1)
    forged.checkpoint.id = taken.checkpoint.id
    forged.checkpoint.storage_path = f"checkpoints/default/{own.spec.job_id}/{taken.checkpoint.id}/"
    await agent.post(own.script.metric(1), forged)
    refused = await refusal(agent)
    assert (refused.reason, refused.violations[0].field) == ("EVENT_REFUSED", "checkpoint.id")
    assert refused.metadata == {**refused.metadata, "source": "agent", "source_sequence": "1"}
    assert await log_of(runs, own) == []
    again = await runs.agent(own)
    good = own.script.checkpoint(1)
    good.source_sequence = 1
    await again.send(good)
    twice = run_pb2.RunEvent()
    twice.CopyFrom(good)
    twice.source_sequence = 2
    await again.post(twice)
    assert (await refusal(again)).violations[0].field == "checkpoint.id"
    assert (await runs.job(own)).last_checkpoint_id == good.checkpoint.id
    assert (await runs.job(theirs)).last_checkpoint_id == taken.checkpoint.id


async def test_messages_out_of_place_end_their_stream_alone(runs: RealRuns) -> None:
    run = await runs.begin()
    honest = await runs.agent(run)
    line = run.script.line("one")
    hello = telemetry_pb2.RunHello(run_id=run.spec.run_id, job_id=run.spec.job_id)
    many = telemetry_pb2.EventBatch(events=[line] * (MAX_BATCH_EVENTS + 1))
    cases: list[tuple[bool, Request, str]] = [
        (True, Request(hello=hello), "hello"),
        (True, Request(), "message"),
        (True, Request.FromString(b"\xfa\x06\x03new"), "message"),
        (True, Request(batch=many), "batch.events"),
        (False, Request(batch=telemetry_pb2.EventBatch(events=[line])), "hello"),
        (False, Request(heartbeat=telemetry_pb2.AgentHeartbeat()), "hello"),
        (False, Request(), "hello"),
    ]
    for greets, request, field in cases:
        agent = runs.connect(run)
        if greets:
            await agent.hello()
        await agent.write(request)
        refused = await refusal(agent)
        assert (refused.reason, [item.field for item in refused.violations]) == ("INVALID_REQUEST", [field])
    assert len(runs.warnings(run)) == len(cases)
    assert await honest.send(line) == {LOG: 1}


async def test_gaps_and_reordered_events_are_refused_and_repeated_ones_count_once(runs: RealRuns) -> None:
    run = await runs.begin()
    one, two, three, four = (run.script.metric(epoch) for epoch in (1, 2, 3, 4))
    line = run.script.line("with it")
    for wrong in ([two], [one, three], [two, one], [line, one, four], [one, two, four, three]):
        agent = await runs.agent(run)
        await agent.post(*wrong)
        refused = await refusal(agent)
        assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "EVENTS_OUT_OF_ORDER")
        assert refused.metadata["source"] == "training"
    assert await log_of(runs, run) == []
    assert {line["reason"] for line in runs.warnings(run)} == {"EVENTS_OUT_OF_ORDER"}
    agent = await runs.agent(run)
    assert await agent.send(one, one, two, one, two) == {TRAINING: 2}
    other_telling = run_pb2.RunEvent()
    other_telling.CopyFrom(two)
    other_telling.metric.loss = 77.0
    assert await agent.send(other_telling, three, four) == {TRAINING: 4}
    told = [event.metric for event in await log_of(runs, run)]
    assert [(point.epoch, point.loss) for point in told] == [(epoch, 1 / 8) for epoch in (1, 2, 3, 4)]


async def test_nothing_comes_behind_the_end_of_a_run(runs: RealRuns) -> None:
    run = await runs.begin()
    agent, hanging, repeating = [await runs.agent(run) for _ in range(3)]
    end = run.script.end()
    await agent.post(run.script.metric(1), end, run.script.metric(2))
    refused = await refusal(agent)
    assert (refused.reason, refused.metadata["source_sequence"]) == ("EVENT_REFUSED", "2")
    assert (await runs.job(run)).state == "RUNNING"
    last = await runs.agent(run)
    first = run_pb2.RunEvent()
    first.CopyFrom(run.script.metric(1))
    first.source_sequence = 1
    assert await last.send(first, end) == {TRAINING: 1, AGENT: 1}
    with pytest.raises(EOFError):  # the run is over, and so is its stream
        await last.read()
    for other in (hanging, repeating):
        assert await other.told() == ABANDON
    await hanging.post(run.script.line("late"))
    assert (await refusal(hanging)).reason == "EVENT_REFUSED"
    assert await repeating.send(first, end) == {TRAINING: 1, AGENT: 1}
    log, job = await log_of(runs, run), await runs.job(run)
    assert job.state == "COMPLETED" and kinds(log)[-1] == "state_change"
    # Whatever comes back: it learns that all is durable, and that nothing more is wanted.
    for _ in range(2):
        back = runs.connect(run)
        assert await back.hello() == {TRAINING: 1, AGENT: 1}
        assert await back.told() == ABANDON
        with pytest.raises(EOFError):
            await back.read()
    assert await log_of(runs, run) == log and (await runs.job(run)).update_time == job.update_time


async def test_a_superseded_run_ends_nothing_and_is_told_so(runs: RealRuns) -> None:
    run = await runs.begin()
    agent = await runs.agent(run)
    await agent.send(run.script.start())
    await runs.in_database(lambda session: JobRepository(session).end_run(run.spec.run_id, "LEASE_EXPIRED"))
    await agent.post(run.script.end())
    assert await agent.told() == ABANDON
    back = runs.connect(run)
    await back.say_hello()
    assert await back.told() == ABANDON
    assert (await runs.job(run)).state == "RUNNING" and kinds(await log_of(runs, run)) == ["training_start"]
    told = [(line["event"], line["because"]) for line in runs.warnings(run)]
    assert told == [("agent told to abandon its run", "LEASE_EXPIRED")] * 2


async def test_a_token_goes_with_its_job(runs: RealRuns) -> None:
    run = await runs.begin()
    await (await runs.agent(run)).send(run.script.end())
    await runs.in_database(lambda session: JobRepository(session).delete(run.spec.job_id))
    stranger = runs.connect(run)
    assert (await refusal(stranger)).reason == "TOKEN_INVALID"


def test_there_is_a_rule_for_every_payload_that_is_published() -> None:
    from gateway.telemetry import event_rules

    payloads: Any = run_pb2.RunEvent.DESCRIPTOR.oneofs_by_name["payload"].fields
    assert {*event_rules._RULES, "local_checkpoint"} == {field.name for field in payloads}
