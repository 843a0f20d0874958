"""Fields of the optimiser and of its learning rate."""

from __future__ import annotations

from dataclasses import replace

from trainer.adapter import Condition, ConfigOption
from trainer_yolo.fields.arguments import Group

_OPTIMIZER = Group("optimizer", "Optimiser")
_SCHEDULER = Group("scheduler", "Learning rate")

OPTIMIZER = replace(
    _OPTIMIZER.select(
        "optimizer",
        "Optimiser",
        "How gradients become updates. AdamW learns well at a learning rate of 0.001, SGD and MuSGD at one of 0.01.",
        (
            ConfigOption("AdamW", "AdamW", "Adam with decoupled weight decay."),
            ConfigOption("Adam", "Adam"),
            ConfigOption("Adamax", "Adamax", "Adam with the largest gradient in place of their squares' mean."),
            ConfigOption("NAdam", "NAdam", "Adam with Nesterov's momentum."),
            ConfigOption("RAdam", "RAdam", "Adam that warms up by itself."),
            ConfigOption("RMSProp", "RMSProp"),
            ConfigOption("SGD", "SGD", "With Nesterov's momentum."),
            ConfigOption("MuSGD", "MuSGD", "SGD with Muon's orthogonal updates for matrices and kernels."),
        ),
        default="AdamW",
    ),
    name="optimizer.type",
)

OPTIMIZATION = (
    OPTIMIZER,
    _OPTIMIZER.number("weight_decay", "Weight decay", "Pull of the weights towards zero.", 1.0, step=0.0001),
    _OPTIMIZER.number(
        "momentum", "Momentum", "Share of the previous update kept in the next; Adam's first beta.", 0.999
    ),
    _OPTIMIZER.integer(
        "nbs",
        "Nominal batch size",
        "Smaller batches are accumulated up to about so many images before an update; 1: every batch makes one.",
        4096,
        minimum=1,
        advanced=True,
    ),
    _SCHEDULER.number("lrf", "Final learning rate", "Learning rate of the end, as a share of the job's.", 1.0),
    _SCHEDULER.switch(
        "cos_lr", "Cosine", "Lowers the learning rate along a cosine; off: in a straight line.", advanced=False
    ),
    _SCHEDULER.number(
        "warmup_epochs",
        "Warm-up epochs",
        "Epochs, or parts of one, over which the learning rate rises from zero; at least the last epoch has none.",
        1000.0,
        step=0.5,
    ),
    _SCHEDULER.number(
        "warmup_momentum",
        "Warm-up momentum",
        "Momentum at the beginning of the warm-up, for optimisers with one.",
        0.999,
        condition=Condition(OPTIMIZER.name, ("SGD", "MuSGD", "RMSProp")),
        advanced=True,
    ),
    _SCHEDULER.number(
        "warmup_bias_lr",
        "Warm-up rate of biases",
        "Learning rate of biases at the beginning of the warm-up.",
        1.0,
        advanced=True,
    ),
)
