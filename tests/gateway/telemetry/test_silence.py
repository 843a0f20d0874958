"""How long a run has been silent, by what the database shows and a clock that only goes forward."""

from __future__ import annotations

from datetime import timedelta

from gateway.telemetry.silence import Silence
from storage.database.tables import TrainingJob, now


class Clock:
    """A clock that a test moves."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def job(run_id: str) -> TrainingJob:
    return TrainingJob(id=f"job of {run_id}", current_run_id=run_id, contact_time=now())


def test_silence_lasts_from_when_a_contact_was_first_seen() -> None:
    clock = Clock()
    silence = Silence(gap_seconds=5.0, clock=clock)
    quiet, loud = job("quiet"), job("loud")
    for _ in range(4):
        silence.look([quiet, loud])
        clock.seconds += 2
        # What other gateways write may lie ahead or behind: only that it changes counts.
        loud.contact_time = now() - timedelta(hours=1)
    silence.look([quiet, loud])
    assert (silence.seconds("quiet"), silence.seconds("loud")) == (8, 0)


def test_a_run_that_is_seen_for_the_first_time_was_heard_of_just_now() -> None:
    clock = Clock()
    silence = Silence(gap_seconds=5.0, clock=clock)
    first = job("first")
    first.contact_time = now() - timedelta(days=1)
    silence.look([first])
    clock.seconds += 1
    silence.look([first, job("second")])
    assert (silence.seconds("first"), silence.seconds("second")) == (1, 0)


def test_after_a_time_in_which_nothing_could_be_seen_all_begin_anew() -> None:
    clock = Clock()
    silence = Silence(gap_seconds=5.0, clock=clock)
    run = job("run")
    silence.look([run])
    clock.seconds += 4
    silence.look([run])
    assert silence.seconds("run") == 4
    clock.seconds += 60  # the database was away: no agent could have said anything
    silence.look([run])
    assert silence.seconds("run") == 0
