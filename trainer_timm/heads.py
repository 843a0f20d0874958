"""Which parts of a model are its head: what depends on the classes."""

from __future__ import annotations

from collections.abc import Iterable

import torch


def head_names(model: torch.nn.Module) -> tuple[str, ...]:
    """Names of the modules that timm calls the classifier; distilled models have two."""
    classifier = model.get_classifier()  # type: ignore[operator]
    parts = classifier if isinstance(classifier, tuple | list) else (classifier,)
    return tuple(name for name, module in model.named_modules() if name and any(module is part for part in parts))


def is_of(tensor_name: str, heads: Iterable[str]) -> bool:
    """Whether a tensor of that name belongs to one of the modules."""
    return any(tensor_name.startswith(f"{head}.") for head in heads)
