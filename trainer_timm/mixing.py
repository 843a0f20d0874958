"""Mixtures of two images and their labels, by timm."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from timm.data.mixup import Mixup

from trainer.adapter import ConfigValue
from trainer.config_values import integer, number, text


class Mixing:
    """Mixes batches as ``mixing.*`` says. Draws from NumPy's global random state, which an epoch seeds."""

    def __init__(self, config: Mapping[str, ConfigValue], num_classes: int) -> None:
        kind = text(config, "mixing.type")
        self._last_epoch = integer(config, "mixing.last_epoch")
        self._mixup = Mixup(  # type: ignore[no-untyped-call]
            mixup_alpha=number(config, "mixing.mixup_alpha") if kind != "cutmix" else 0.0,
            cutmix_alpha=number(config, "mixing.cutmix_alpha") if kind != "mixup" else 0.0,
            prob=number(config, "mixing.prob"),
            switch_prob=number(config, "mixing.switch_prob"),
            mode=text(config, "mixing.mode"),
            label_smoothing=number(config, "regularization.label_smoothing"),
            num_classes=num_classes,
        )
        self._mixes = True

    def begin_epoch(self, epoch: int) -> None:
        """Mix in this epoch, or no longer."""
        self._mixes = not self._last_epoch or epoch <= self._last_epoch

    def __call__(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mixed images and shares of classes (N, C); an odd batch, such as an epoch's last, as it is."""
        if not self._mixes or len(images) % 2:
            return images, labels
        images, shares = self._mixup(images, labels)
        return images, shares


def create_mixing(config: Mapping[str, ConfigValue], num_classes: int) -> Mixing | None:
    """Return what mixes batches, or None when nothing does."""
    return None if text(config, "mixing.type") == "none" else Mixing(config, num_classes)
