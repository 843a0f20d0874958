"""The states of a job and what may follow what."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from rpc.errors import DomainError

# From each state, the states that may follow (the diagram stands above JobState in the protos).
TRANSITIONS: Mapping[str, frozenset[str]] = {
    "PENDING": frozenset({"QUEUED", "STOPPED"}),
    "QUEUED": frozenset({"PREPARING", "STOPPED", "FAILED"}),
    "PREPARING": frozenset({"RUNNING", "STOPPING", "QUEUED", "FAILED"}),
    "RUNNING": frozenset({"STOPPING", "COMPLETED", "QUEUED", "FAILED"}),
    "STOPPING": frozenset({"STOPPED", "COMPLETED", "FAILED"}),
    "STOPPED": frozenset({"QUEUED"}),
    "FAILED": frozenset({"QUEUED"}),
    "COMPLETED": frozenset(),
}

# States in which a caller may start a job. Others lead to QUEUED too, but only when the gateway takes a run back.
STARTABLE = frozenset({"PENDING", "STOPPED", "FAILED"})
# States in which a run is meant to exist.
WITH_RUN = frozenset({"PREPARING", "RUNNING", "STOPPING"})
# States that end by themselves: something more will happen without a caller.
ACTIVE = WITH_RUN | {"QUEUED"}
# States in which a watch ends.
ENDED = frozenset({"COMPLETED", "STOPPED", "FAILED"})


def check_start(job_id: str, from_state: str) -> None:
    """Raises INVALID_STATE_TRANSITION, naming both states, when a job in that state cannot be started."""
    if from_state not in STARTABLE:
        raise _invalid(job_id, from_state, "QUEUED", f"a job can be started when it is {_listed(STARTABLE)}")


def check_transition(job_id: str, from_state: str, to_state: str) -> None:
    """Raises INVALID_STATE_TRANSITION, naming both states, when the one may not follow the other."""
    if to_state not in TRANSITIONS[from_state]:
        following = _listed(TRANSITIONS[from_state])
        raise _invalid(job_id, from_state, to_state, f"from {from_state} may follow: {following}")


def _invalid(job_id: str, from_state: str, to_state: str, allowed: str) -> DomainError:
    return DomainError(
        "INVALID_STATE_TRANSITION",
        f"Job {job_id} is {from_state} and cannot become {to_state}; {allowed}.",
        metadata={"job_id": job_id, "from": from_state, "to": to_state},
    )


def _listed(states: Collection[str]) -> str:
    return ", ".join(sorted(states)) or "nothing"
