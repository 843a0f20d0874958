"""All that a training imports before its first step, also what is not imported before a call needs it."""

from __future__ import annotations

import torch._dynamo  # the first step of any optimiser imports it

from trainer_timm import schema, training

__all__ = ["schema", "torch", "training"]
