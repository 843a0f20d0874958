"""Datasets that several tests of the timm trainer read."""

from __future__ import annotations

import pytest

from tests.trainer_timm.helpers import write_dataset
from trainer.adapter import TrainingDataset


@pytest.fixture(scope="session")
def textures(tmp_path_factory: pytest.TempPathFactory) -> TrainingDataset:
    """Three classes of 32-pixel squares: 15 to train on, 6 to validate with."""
    return write_dataset(tmp_path_factory.mktemp("textures"))
