"""What is left of a training, by a clock of the test's own."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from trainer.runs.folder import RunFolder
from trainer.runs.reporter import SpoolReporter
from trainer.runs.spool import SpoolReader
from trainer.runs.time_left import Estimate, TimeLeft

STEPS = 10


class Training:
    """Epochs of ten batches of a second, and 5 s of validation behind; the first batch of all takes 21 s."""

    def __init__(self, total_epochs: int, start_epoch: int = 1) -> None:
        self.now = 1000.0
        self.left = TimeLeft(total_epochs, start_epoch, self.now)
        self._warm = False

    def batches(self, epoch: int, steps: int = STEPS, seconds: float = 1.0) -> list[Estimate]:
        estimates = []
        for step in range(1, steps + 1):
            self.now += seconds if self._warm else 21
            self._warm = True
            estimates.append(self.left.batches_done(epoch, step, STEPS, self.now))
        return estimates

    def epoch(self, epoch: int) -> list[Estimate]:
        estimates = self.batches(epoch)
        self.now += 5
        self.left.epoch_done(epoch, self.now)
        return estimates


def test_the_first_batch_tells_nothing_and_the_others_the_rest() -> None:
    first, *others = Training(total_epochs=3).batches(1)
    assert first == Estimate(None, None)
    assert [estimate.epoch_seconds for estimate in others] == pytest.approx([*range(8, -1, -1)])
    # Two more epochs, of which is known what this one takes: 21 s and nine batches.
    assert others[0].seconds == pytest.approx(8 + 2 * 30)


def test_validation_counts_as_soon_as_it_was_seen() -> None:
    training = Training(total_epochs=6)
    training.epoch(1)
    training.epoch(2)
    third = training.epoch(3)
    # From the second epoch, 10 s of batches and 5 s of validation: the first was slower and no longer counts.
    assert [estimate.epoch_seconds for estimate in third] == pytest.approx([5 + left for left in range(9, -1, -1)])
    assert [estimate.seconds for estimate in third] == pytest.approx([50 + left for left in range(9, -1, -1)])


def test_a_pace_that_changes_is_followed() -> None:
    training = Training(total_epochs=4)
    for epoch in (1, 2):
        training.epoch(epoch)
    slow = training.batches(3, steps=5, seconds=4.0)[-1]
    # Half is done in 20 s; what is left takes between the usual 5 s and 20 s, then 5 s of validation.
    assert slow.epoch_seconds is not None and slow.epoch_seconds == pytest.approx(0.5 * (20 + 0.5 * 10) + 5)


def test_a_resumed_training_begins_anew() -> None:
    training = Training(total_epochs=10, start_epoch=8)
    training.epoch(8)
    last = training.epoch(9)[-1]
    assert last.epoch_seconds == pytest.approx(5)
    assert last.seconds == pytest.approx(5 + 35)  # one more epoch, of which only the first, slow one is known
    assert training.epoch(10)[-1].seconds == pytest.approx(5)


@pytest.mark.parametrize("steps", [1, 0])
def test_epochs_of_one_batch(steps: int) -> None:
    left = TimeLeft(total_epochs=3, start_epoch=1, now=0.0)
    assert left.batches_done(1, 1, steps, 2.0) == Estimate(None, None)
    left.epoch_done(1, 4.0)
    assert left.batches_done(2, 1, steps, 6.0) == Estimate(2.0, 6.0)


def test_an_adapter_that_tells_less_breaks_nothing() -> None:
    left = TimeLeft(total_epochs=2, start_epoch=1, now=0.0)
    assert left.batches_done(1, 5, 10, 5.0).seconds is None
    assert left.batches_done(1, 5, 10, 6.0).seconds is None
    left.batches_done(2, 1, 10, 10.0)  # the end of epoch 1 was not told
    assert left.batches_done(2, 6, 10, 15.0) == Estimate(4.0, 4.0)
    left.batches_done(9, 3, 10, 30.0)  # beyond the last epoch
    estimate = left.batches_done(9, 20, 10, 31.0)
    assert estimate.seconds is not None and math.isfinite(estimate.seconds) and estimate.seconds >= 0


def test_progress_on_the_spool_tells_it_whatever_the_adapter(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    reporter = SpoolReporter(folder, ["cat", "dog"])
    reporter.began(2, 1, 1, "cpu")
    for epoch in (1, 2):
        reporter.progress(epoch, 1, 1, 0.5, 100.0)
        reporter.metrics(epoch, epoch, 0.5, 0.5, None, {})
    told = [record.event.progress for record in SpoolReader(folder.training_spool).read(0)]
    first, second = (progress for progress in told if progress.epoch)
    assert first.elapsed_seconds > 0 and not first.HasField("seconds_left")
    assert second.elapsed_seconds > first.elapsed_seconds
    assert second.seconds_left == second.epoch_seconds_left >= 0
