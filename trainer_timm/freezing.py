"""Training the classifier alone for a while."""

from __future__ import annotations

from collections.abc import Iterable

import torch


def set_training_mode(model: torch.nn.Module, backbone_frozen: bool) -> None:
    """Make ready for training: everything, or the classifier alone.

    A frozen backbone neither changes its weights nor the running statistics of its norms.
    """
    model.requires_grad_(not backbone_frozen)
    model.train(not backbone_frozen)
    if backbone_frozen:
        for module in classifiers(model):
            module.requires_grad_(True)
            module.train()


def classifiers(model: torch.nn.Module) -> list[torch.nn.Module]:
    """Return the modules that timm calls the model's classifier; distilled models have two."""
    found = model.get_classifier()  # type: ignore[operator]
    modules = found if isinstance(found, Iterable) and not isinstance(found, torch.nn.Module) else [found]
    return [module for module in modules if isinstance(module, torch.nn.Module)]
