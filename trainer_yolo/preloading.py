"""All that a training imports before its first step, also what is not imported before a call needs it."""

from __future__ import annotations

import torch._dynamo  # the first step of any optimiser imports it
import torchvision  # data sets and losses of ultralytics import it when they are first used

from trainer_yolo import schema, training

__all__ = ["schema", "torch", "torchvision", "training"]
