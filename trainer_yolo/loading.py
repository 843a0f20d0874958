"""Batches whose order and augmentation derive from seed and epoch alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from ultralytics.data.build import seed_worker

from trainer.adapter import BadTrainingData
from trainer_torch.seeding import seed_epoch


class EpochLoader(DataLoader[Any]):
    """A loader in the place of ultralytics' own, whose workers live for an epoch."""

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        *,
        workers: int,
        shuffle: bool,
        pin_memory: bool,
        begin: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        """With ``begin``, which says seed and epoch, every random state is set anew before the first batch."""
        batch_size = min(batch_size, len(dataset))
        batches = -(-len(dataset) // batch_size)
        generator = torch.Generator()
        super().__init__(
            dataset,
            batch_size=batch_size,
            shuffle=shuffle,
            # Workers for a single batch would cost more than they bring.
            num_workers=min(workers, batches) if batches > 1 else 0,
            pin_memory=pin_memory,
            collate_fn=getattr(dataset, "collate_fn", None),
            worker_init_fn=seed_worker,
            generator=generator,
        )
        self._begin = begin

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # a generator: nothing begins before it is needed
        """Yield the batches of an epoch."""
        if self._begin is not None:
            self.dataset.forget()  # type: ignore[attr-defined]
            self.generator.set_state(seed_epoch(*self._begin()).get_state())
        yield from super().__iter__()

    def reset(self) -> None:
        """Nothing is kept from one epoch to the next."""


def has_one_shape(dataset: Any) -> bool:
    """Whether all batches of a dataset have the same shape, so that their order is free."""
    return not getattr(dataset, "rect", False) or bool(np.all(dataset.batch_shapes == dataset.batch_shapes[0]))


def sentence_of(error: BadTrainingData) -> str:
    """What an error says, also when a worker raised it: then it arrives as the text of its traceback."""
    lines = str(error).strip().splitlines()
    return lines[-1].removeprefix(f"{BadTrainingData.__module__}.BadTrainingData: ") if lines else ""
