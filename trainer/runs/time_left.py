"""How long a training still takes, from what it took so far."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

# Epochs that the next ones are expected to be like: caches fill, and a machine gets busy.
REMEMBERED_EPOCHS = 5


@dataclass(frozen=True)
class Estimate:
    """Seconds of this epoch and of the whole training to come; None where nothing tells."""

    epoch_seconds: float | None
    seconds: float | None


@dataclass(frozen=True)
class _Epoch:
    batches_seconds: float
    seconds: float

    @property
    def rest_seconds(self) -> float:
        """What came beside the batches: validation, checkpoints."""
        return max(self.seconds - self.batches_seconds, 0.0)


class TimeLeft:
    """Told of batches and epochs as they are done, at times that only differences are taken of (seconds).

    An epoch lasts from the end of the one before to its own end, so that all there is between batches is counted. The
    first epoch of an attempt, which is the slowest, counts only while it is the only one.
    """

    def __init__(self, total_epochs: int, start_epoch: int, now: float) -> None:
        self.began = now
        self._total_epochs = total_epochs
        self._epoch = start_epoch
        self._epoch_began = now
        self._first: tuple[int, float] | None = None  # the first batches told of this epoch, and when
        self._last = now  # when batches were last told
        self._first_epoch: _Epoch | None = None
        self._epochs: deque[_Epoch] = deque(maxlen=REMEMBERED_EPOCHS)

    def batches_done(self, epoch: int, step: int, steps: int, now: float) -> Estimate:
        """``step`` of the ``steps`` batches of ``epoch`` are done; what is left."""
        if epoch != self._epoch:
            self._epoch, self._epoch_began, self._first = epoch, self._last, None
        self._last = now
        share = min(max(step / steps, 0.0), 1.0) if steps > 0 else 1.0
        left = self._epoch_left(step, steps, share, now)
        if self._first is None:
            self._first = step, now
        if left is None:
            return Estimate(None, None)
        epochs_left = max(self._total_epochs - epoch, 0)
        return Estimate(left, left + epochs_left * self._seconds_of_epoch(now, left))

    def epoch_done(self, epoch: int, now: float) -> None:
        """``epoch`` is done, with all that belongs to it."""
        done = _Epoch(max(self._last - self._epoch_began, 0.0), max(now - self._epoch_began, 0.0))
        if self._first_epoch is None:
            self._first_epoch = done
        else:
            self._epochs.append(done)
        self._epoch, self._epoch_began, self._last, self._first = epoch + 1, now, now, None

    def _epoch_left(self, step: int, steps: int, share: float, now: float) -> float | None:
        known = self._known()
        if known:
            usual = sum(epoch.batches_seconds for epoch in known) / len(known)
            # The further this epoch is, the more its own pace counts.
            batches_left = (1 - share) * (now - self._epoch_began + (1 - share) * usual)
            return batches_left + sum(epoch.rest_seconds for epoch in known) / len(known)
        if self._first is None or step <= self._first[0]:
            return None  # the first batch takes longer than all others: compilers, caches, workers that start
        first_step, first_time = self._first
        return max(steps - step, 0) * (now - first_time) / (step - first_step)

    def _seconds_of_epoch(self, now: float, left: float) -> float:
        known = self._known()
        return sum(epoch.seconds for epoch in known) / len(known) if known else now - self._epoch_began + left

    def _known(self) -> list[_Epoch]:
        if self._epochs:
            return list(self._epochs)
        return [self._first_epoch] if self._first_epoch is not None else []
