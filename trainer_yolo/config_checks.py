"""What single fields cannot say: values that do not go together, or not with the job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from trainer.adapter import ConfigValue, JobDraft, Violation
from trainer.config_values import integer, number
from trainer_yolo.definitions import Definition, definitions
from trainer_yolo.fields import FIELDS
from trainer_yolo.names import CLASSIFICATION, LARGEST_LEARNING_RATE
from trainer_yolo.sizes import image_size_problem

Config = Mapping[str, ConfigValue]

# Arguments that RT-DETR's loss, data set and predictions have no use for.
_NOT_OF_RTDETR = ("loss.box", "loss.cls", "loss.dfl", "loss.cls_pw", "learning.rect", "validation.iou")


def check_job(task_type: str, job: JobDraft, config: Mapping[str, ConfigValue]) -> Sequence[Violation]:
    """Return everything that cannot work about a complete configuration of valid values."""
    defaults = {field.name: field.default for field in FIELDS[task_type]}
    violations = list(_schedule(job, config, defaults))
    if job.learning_rate > LARGEST_LEARNING_RATE:
        violations.append(Violation("learning_rate", f"ultralytics takes at most {LARGEST_LEARNING_RATE:g}."))
    if job.model_name:
        violations.extend(_model(definitions()[job.model_name], job, config, defaults))
    if task_type == CLASSIFICATION and job.num_classes == 1:
        violations.append(Violation("dataset_id", "Classification needs at least two classes; the dataset has one."))
    return violations


def _schedule(job: JobDraft, config: Config, defaults: Config) -> Iterator[Violation]:
    warmup = number(config, "scheduler.warmup_epochs")
    # The default is for long trainings; ultralytics cuts it short by itself.
    if job.epochs and warmup > job.epochs and warmup != defaults["scheduler.warmup_epochs"]:
        yield _violation(
            "scheduler.warmup_epochs", f"A warm-up of {warmup:g} epochs is longer than the job's {job.epochs}."
        )


def _model(definition: Definition, job: JobDraft, config: Config, defaults: Config) -> Iterator[Violation]:
    if job.image_size:
        problem = image_size_problem(definition.name, job.image_size)
        if problem is not None:
            yield Violation("image_size", problem)
    layers = len(definition.content["backbone"]) + len(definition.content["head"])
    if integer(config, "learning.freeze") >= layers:
        yield _violation(
            "learning.freeze", f"{definition.name} has {layers} layers: freeze fewer, or nothing is learned."
        )
    if definition.is_rtdetr:
        for name in _NOT_OF_RTDETR:
            if name in config and config[name] != defaults[name]:
                yield _violation(name, f"{definition.name} has no use for it: leave it at {defaults[name]}.")
    if "loss.rle" in config and not definition.head.endswith("26") and config["loss.rle"] != defaults["loss.rle"]:
        yield _violation("loss.rle", f"YOLO26 alone has such a loss: leave it at {defaults['loss.rle']}.")


def _violation(name: str, description: str) -> Violation:
    return Violation(f"advanced_config.{name}", description)
