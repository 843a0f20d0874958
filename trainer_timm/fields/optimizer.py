"""Fields of the optimiser and of the gradients it is given."""

from __future__ import annotations

from timm.optim import get_optimizer_info  # type: ignore[attr-defined]  # public, not re-exported by `as`

from trainer.adapter import Condition, ConfigField, ConfigOption, FieldType

# Of timm's registry those that need nothing else installed, no second derivatives and no third beta.
_TYPES = {
    "adamw": "AdamW",
    "adam": "Adam",
    "nadam": "NAdam",
    "nadamw": "NAdamW",
    "radam": "RAdam",
    "adamax": "Adamax",
    "adamp": "AdamP",
    "adabelief": "AdaBelief",
    "adafactor": "Adafactor",
    "adagrad": "Adagrad",
    "adopt": "ADOPT",
    "adoptw": "ADOPT, decoupled decay",
    "laprop": "LaProp",
    "lamb": "LAMB",
    "lars": "LARS",
    "lion": "Lion",
    "cadamw": "Cautious AdamW",
    "madgrad": "MADGRAD",
    "novograd": "NovoGrad",
    "rmsprop": "RMSprop",
    "rmsproptf": "RMSprop as in TensorFlow",
    "sgd": "SGD",
    "momentum": "SGD, classical momentum",
    "sgdw": "SGD, decoupled decay",
    "sgdp": "SGDP",
}
# Adafactor's betas and epsilon have another meaning and no plain default.
_OTHERWISE = ("adafactor",)


def _types_with(trait: str) -> tuple[str, ...]:
    return tuple(name for name in _TYPES if getattr(get_optimizer_info(name), trait) and name not in _OTHERWISE)


WITH_MOMENTUM = _types_with("has_momentum")
WITH_BETAS = _types_with("has_betas")
WITH_EPS = _types_with("has_eps")

_GROUP = "Optimiser"

OPTIMIZER = (
    ConfigField(
        name="optimizer.type",
        type=FieldType.SELECT,
        label="Optimiser",
        description=(
            "How gradients become updates. AdamW is a safe choice for any model; SGD wants a higher learning "
            "rate (0.1), Lion one that is 3 to 10 times lower than AdamW's."
        ),
        default="adamw",
        options=tuple(
            ConfigOption(name, label, f"{get_optimizer_info(name).description}.") for name, label in _TYPES.items()
        ),
        group=_GROUP,
    ),
    ConfigField(
        name="optimizer.weight_decay",
        type=FieldType.NUMBER,
        label="Weight decay",
        description="Pull of the weights towards zero, per unit of learning rate; biases and norms are exempt.",
        default=0.05,
        minimum=0.0,
        maximum=1.0,
        step=0.01,
        group=_GROUP,
    ),
    ConfigField(
        name="optimizer.momentum",
        type=FieldType.NUMBER,
        label="Momentum",
        description="Share of the previous update kept in the next.",
        default=0.9,
        minimum=0.0,
        maximum=0.999,
        step=0.01,
        condition=Condition("optimizer.type", WITH_MOMENTUM),
        group=_GROUP,
        advanced=True,
    ),
    ConfigField(
        name="optimizer.betas",
        type=FieldType.NUMBER_LIST,
        label="Betas",
        description="Two shares of the running means of gradients and of their squares; empty: the optimiser's own.",
        default=[],
        minimum=0.0,
        maximum=0.99999,
        step=0.001,
        condition=Condition("optimizer.type", WITH_BETAS),
        group=_GROUP,
        advanced=True,
    ),
    ConfigField(
        name="optimizer.eps",
        type=FieldType.NUMBER,
        label="Epsilon",
        description="Added to the denominator of an update, against division by zero; 0: the optimiser's own.",
        default=0.0,
        minimum=0.0,
        maximum=1.0,
        step=1e-8,
        condition=Condition("optimizer.type", WITH_EPS),
        group=_GROUP,
        advanced=True,
    ),
    ConfigField(
        name="optimizer.layer_decay",
        type=FieldType.NUMBER,
        label="Layer decay",
        description="Factor of the learning rate from one layer to the one below it; 1: all layers learn alike.",
        default=1.0,
        minimum=0.1,
        maximum=1.0,
        step=0.05,
        group=_GROUP,
        advanced=True,
    ),
    ConfigField(
        name="gradient.clip_mode",
        type=FieldType.SELECT,
        label="Gradient clipping",
        description="What keeps a single batch from changing the weights too much.",
        default="none",
        options=(
            ConfigOption("none", "None"),
            ConfigOption("norm", "Norm", "Limits the L2 norm of all gradients together."),
            ConfigOption("value", "Value", "Limits each number of the gradients."),
            ConfigOption(
                "agc", "Adaptive", "Limits each unit's gradient relative to its weights; not the classifier's."
            ),
        ),
        group=_GROUP,
        advanced=True,
    ),
    ConfigField(
        name="gradient.clip_value",
        type=FieldType.NUMBER,
        label="Clipping limit",
        description="Largest norm or value of gradients, or largest share of the weights' norm when adaptive (0.01).",
        default=1.0,
        minimum=0.000001,
        maximum=1000.0,
        step=0.1,
        condition=Condition("gradient.clip_mode", ("norm", "value", "agc")),
        group=_GROUP,
        advanced=True,
    ),
    ConfigField(
        name="gradient.accumulation",
        type=FieldType.INTEGER,
        label="Gradient accumulation",
        description="Batches whose mean gradient makes one update: a larger batch than fits into memory.",
        default=1,
        minimum=1,
        maximum=1024,
        step=1,
        group=_GROUP,
        advanced=True,
    ),
)
