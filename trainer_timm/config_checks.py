"""What single fields cannot say: values that do not go together, or not with the job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import torch

from trainer.adapter import BadTrainingData, ConfigValue, JobDraft, Violation
from trainer.config_values import integer, number, numbers, text
from trainer_timm.catalogue import get_model
from trainer_timm.models import build_model
from trainer_timm.transforms import Preprocessing, training_transform

# Any will do: a policy is valid, or not, whatever the model.
_PREPROCESSING = Preprocessing(224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear", 1.0, "center")

# Pixels; some models take long to build for more.
_LARGEST_TRIED = 2048


def check_job(job: JobDraft, config: Mapping[str, ConfigValue]) -> Sequence[Violation]:
    """Return everything that cannot work about a complete configuration of valid values."""
    violations = [*_optimizer(config), *_schedule(job, config), *_mixing(job, config), *_policy(config)]
    return [*violations, *_model(job, config)] if job.model_name else violations


def _optimizer(config: Mapping[str, ConfigValue]) -> Iterator[Violation]:
    if len(numbers(config, "optimizer.betas")) not in (0, 2):
        yield _violation("optimizer.betas", "Give two numbers, or none for the optimiser's own.")


def _schedule(job: JobDraft, config: Mapping[str, ConfigValue]) -> Iterator[Violation]:
    milestones = numbers(config, "scheduler.milestones")
    if milestones != sorted(set(milestones)):
        yield _violation("scheduler.milestones", "Each must be later than the one before.")
    if not job.epochs:
        return
    warmup, frozen = integer(config, "scheduler.warmup_epochs"), integer(config, "freeze.backbone_epochs")
    if warmup > job.epochs:
        yield _violation(
            "scheduler.warmup_epochs", f"A warm-up of {warmup} epochs is longer than the job's {job.epochs}."
        )
    if frozen >= job.epochs:
        yield _violation(
            "freeze.backbone_epochs",
            f"It must be fewer than the job's epochs ({job.epochs}): else nothing is fine-tuned.",
        )
    cycles = integer(config, "scheduler.cycles")
    if text(config, "scheduler.type") in ("cosine", "poly") and cycles > job.epochs:
        yield _violation("scheduler.cycles", f"{cycles} cycles do not fit into the job's {job.epochs} epochs.")


def _mixing(job: JobDraft, config: Mapping[str, ConfigValue]) -> Iterator[Violation]:
    if text(config, "mixing.type") == "none":
        return
    if job.batch_size % 2:
        yield _violation(
            "mixing.type", f"Images are mixed in pairs: it needs an even batch_size, not {job.batch_size}, or none."
        )
    if job.num_classes == 1:
        yield _violation("mixing.type", "Mixing images needs at least two classes; the dataset has one.")


def _policy(config: Mapping[str, ConfigValue]) -> Iterator[Violation]:
    if text(config, "augmentation.auto_augment") != "custom":
        return
    policy = text(config, "augmentation.policy")
    try:
        if not policy:
            raise ValueError("it is empty")
        training_transform(_PREPROCESSING, config)
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = str(error) or "it knows no such policy"
        yield _violation(
            "augmentation.policy",
            f"timm does not understand it ({reason[:200]}); one it does is rand-m7-n3-mstd0.5.",
        )


def _model(job: JobDraft, config: Mapping[str, ConfigValue]) -> Iterator[Violation]:
    default_size = get_model(job.model_name).default_image_size
    drop_path = number(config, "regularization.drop_path_rate")
    # What cannot even be tried with the model's own size is not the size's fault.
    if _misfit(job.model_name, default_size) is not None:
        return
    if job.image_size and job.image_size != default_size and job.image_size <= _LARGEST_TRIED:
        misfit = _misfit(job.model_name, job.image_size)
        if misfit is not None:
            yield Violation("image_size", misfit)
    if drop_path > 0 and _misfit(job.model_name, default_size, drop_path) is not None:
        yield _violation("regularization.drop_path_rate", f"{job.model_name} has no drop path; set it to 0.")


@lru_cache(maxsize=1024)
def _misfit(model_name: str, image_size: int, drop_path_rate: float = 0.0) -> str | None:
    """Try a blank image on the meta device, which computes shapes only. Returns what is wrong, if anything."""
    try:
        with torch.device("meta"), torch.inference_mode():
            model = build_model(model_name, 2, image_size, drop_path_rate=drop_path_rate)
            model.eval()(torch.zeros(1, 3, image_size, image_size))
    except (BadTrainingData, ArithmeticError, AssertionError, RuntimeError, TypeError, ValueError) as error:
        return f"{model_name} cannot take images of {image_size} pixels: {str(error)[:300]}"
    return None


def _violation(name: str, description: str) -> Violation:
    return Violation(f"advanced_config.{name}", description)
