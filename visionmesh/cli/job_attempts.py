"""``jobs attempts``, and what is said of attempts elsewhere: where each ran, how and why it ended, what comes next."""

from __future__ import annotations

from typing import Annotated

import typer

from visionmesh.cli.session import Session
from visionmesh.cli.tables import print_table
from visionmesh.cli.values import enum_text, time_text
from visionmesh.client import Client
from visionmesh.v1 import common_pb2, event_pb2, training_pb2

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="Id of the job.")]
OUTCOME = "ATTEMPT_OUTCOME_"


def attempts(session: Session, job_id: JobArgument) -> None:
    """List the attempts of a job: where each ran, and how and why it ended."""
    with session.client() as client:
        found = list(client.attempts(job_id))
    if session.json:
        session.print_json({"attempts": found})
        return
    print_table(
        session.out,
        ["attempt#", "from epoch#", "trainer", "began", "ended", "outcome", "why"],
        (
            (
                item.attempt,
                item.first_epoch,
                item.trainer_address,
                time_text(item.start_time),
                time_text(item.end_time),
                enum_text(event_pb2.AttemptOutcome, OUTCOME, item.outcome),
                reason_text(item.failure),
            )
            for item in found
        ),
        empty="no attempts yet",
    )


def reason_text(failure: common_pb2.Failure) -> str:
    """Reason and message, or a dash when nothing failed."""
    return f"{failure.reason}: {failure.message}" if failure.reason else "-"


def end_lines(end: event_pb2.AttemptEnd) -> list[str]:
    """What the end of an attempt says in lines, with the restart that follows; none when it completed."""
    if end.outcome == event_pb2.ATTEMPT_OUTCOME_COMPLETED:
        return []
    lines = [_ended(end)]
    if end.HasField("next_attempt_time"):
        lines.append(f"restart at {time_text(end.next_attempt_time)}, {end.restarts_left} left after it")
    return lines


def last_end(client: Client, job: training_pb2.TrainingJob) -> str:
    """How the last attempt ended that failed, of a job that was restarted; empty when it was not."""
    ended = [item for item in client.attempts(job.id) if item.failure.reason] if job.restarts else []
    return _ended(ended[-1]) if ended else ""


def restarts_text(job: training_pb2.TrainingJob) -> str:
    """The restarts of a job, and when the next one comes."""
    said = f"{job.restarts} of {job.max_restarts}"
    if job.HasField("next_attempt_time"):
        said += f", the next attempt at {time_text(job.next_attempt_time)}"
    return said


def _ended(attempt: event_pb2.AttemptEnd | training_pb2.Attempt) -> str:
    outcome = enum_text(event_pb2.AttemptOutcome, OUTCOME, attempt.outcome).lower()
    why = f": {reason_text(attempt.failure)}" if attempt.failure.reason else ""
    return f"attempt {attempt.attempt} {outcome}{why}"
