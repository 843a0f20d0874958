"""Between the adapter's types and the messages of the contract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from google.protobuf import struct_pb2

from rpc.times import to_timestamp
from trainer.adapter import ConfigField, ConfigSchema, ConfigValue, Detection, ModelInfo, Preset, Violation
from trainer.cache.checkpoints import CheckpointFile
from trainer.predictors import Answer, CheckpointSource, LoadedPredictor
from visionmesh.mesh.v1 import run_pb2, trainer_pb2
from visionmesh.v1 import common_pb2, inference_pb2, registry_pb2

_TASK_PREFIX = "TASK_TYPE_"
_FIELD_TYPE_PREFIX = "CONFIG_FIELD_TYPE_"

# For resuming alone; predictions leave it in the store.
_TRAINING_STATE_FILE = "training_state.safetensors"


def task_type_name(value: int) -> str | None:
    """Return an adapter's name of a task (``IMAGE_CLASSIFICATION``); None for UNSPECIFIED and unknown numbers."""
    if value == common_pb2.TASK_TYPE_UNSPECIFIED or value not in common_pb2.TaskType.values():
        return None
    return common_pb2.TaskType.Name(value).removeprefix(_TASK_PREFIX)


def task_type_value(name: str) -> common_pb2.TaskType:
    """Return the enum's value of an adapter's task name. Raises ValueError when the contract has no such task."""
    return cast("common_pb2.TaskType", common_pb2.TaskType.Value(f"{_TASK_PREFIX}{name}"))


def struct_to_python(struct: struct_pb2.Struct) -> dict[str, object]:
    """Return a Struct as dicts, lists, str, float, bool and None; NaN and infinities stay what they are."""
    return {name: _value_to_python(value) for name, value in struct.fields.items()}


def _value_to_python(value: struct_pb2.Value) -> object:
    match value.WhichOneof("kind"):
        case "struct_value":
            return struct_to_python(value.struct_value)
        case "list_value":
            return [_value_to_python(element) for element in value.list_value.values]
        case "number_value":
            return value.number_value
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case _:
            return None


def config_to_struct(config: Mapping[str, ConfigValue]) -> struct_pb2.Struct:
    """Return a configuration as a Struct with its dotted names."""
    struct = struct_pb2.Struct()
    for name, value in config.items():
        struct.fields[name].CopyFrom(config_value(value))
    return struct


def config_value(value: ConfigValue) -> struct_pb2.Value:
    """Return one value of a configuration."""
    # bool is an int to Python: it has to be asked first.
    if isinstance(value, bool):
        return struct_pb2.Value(bool_value=value)
    if isinstance(value, int | float):
        return struct_pb2.Value(number_value=value)
    if isinstance(value, str):
        return struct_pb2.Value(string_value=value)
    if isinstance(value, list):
        return struct_pb2.Value(list_value=struct_pb2.ListValue(values=[config_value(element) for element in value]))
    return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)


def model_message(model: ModelInfo, framework: str) -> registry_pb2.Model:
    """Return a model of the catalogue."""
    return registry_pb2.Model(
        model_name=model.name,
        framework=framework,
        task_types=[task_type_value(name) for name in model.task_types],
        parameters=model.parameters,
        default_image_size=model.default_image_size,
        mean=model.mean,
        std=model.std,
        pretrained_tags=model.pretrained_tags,
        description=model.description,
        license=model.license,
        interpolation=model.interpolation,
    )


def schema_message(task_type: str, schema: ConfigSchema) -> trainer_pb2.GetConfigSchemaResponse:
    """Return fields and presets of a task."""
    return trainer_pb2.GetConfigSchemaResponse(
        task_type=task_type_value(task_type),
        fields=[_field_message(field) for field in schema.fields],
        presets=[_preset_message(preset) for preset in schema.presets],
    )


def _field_message(field: ConfigField) -> registry_pb2.ConfigField:
    message = registry_pb2.ConfigField(
        name=field.name,
        type=f"{_FIELD_TYPE_PREFIX}{field.type.value}",
        label=field.label,
        description=field.description,
        default_value=config_value(field.default),
        minimum=field.minimum,
        maximum=field.maximum,
        step=field.step,
        options=[
            registry_pb2.ConfigOption(value=option.value, label=option.label, description=option.description)
            for option in field.options
        ],
        group=field.group,
        advanced=field.advanced,
    )
    if field.condition is not None:
        message.condition.field = field.condition.field
        message.condition.values.extend(config_value(value) for value in field.condition.values)
    return message


def _preset_message(preset: Preset) -> registry_pb2.ConfigPreset:
    return registry_pb2.ConfigPreset(
        name=preset.name, label=preset.label, description=preset.description, config=config_to_struct(preset.config)
    )


def violation_messages(violations: Iterable[Violation]) -> Sequence[common_pb2.FieldViolation]:
    """Return violations as a response lists them."""
    return [
        common_pb2.FieldViolation(field=violation.field, description=violation.description) for violation in violations
    ]


def checkpoint_source(checkpoint: run_pb2.CheckpointRef) -> CheckpointSource:
    """Return where a checkpoint lies, with the files that a prediction needs."""
    return CheckpointSource(
        checkpoint_id=checkpoint.checkpoint_id,
        job_id=checkpoint.job_id,
        storage_path=checkpoint.storage_path,
        files=tuple(
            CheckpointFile(file.name, file.size_bytes, file.sha256)
            for file in checkpoint.files
            if file.name != _TRAINING_STATE_FILE
        ),
        digest=checkpoint.digest,
    )


def predict_response(answer: Answer) -> trainer_pb2.PredictResponse:
    """Return a prediction; its ids of checkpoint and job are left to the gateway."""
    return trainer_pb2.PredictResponse(
        prediction=inference_pb2.PredictResponse(
            task_type=task_type_value(answer.task_type),
            model_name=answer.model_name,
            classifications=[
                inference_pb2.Classification(label=found.label, label_id=found.label_id, confidence=found.confidence)
                for found in answer.prediction.classifications
            ],
            detections=map(_detection_message, answer.prediction.detections),
            image_width=answer.image_width,
            image_height=answer.image_height,
            inference_time_ms=answer.inference_seconds * 1000,
        )
    )


def _detection_message(found: Detection) -> inference_pb2.Detection:
    box, mask, rotated = found.box, found.mask, found.rotated_box
    message = inference_pb2.Detection(
        label=found.label,
        label_id=found.label_id,
        confidence=found.confidence,
        box=inference_pb2.Box(x_min=box.x_min, y_min=box.y_min, x_max=box.x_max, y_max=box.y_max),
        mask=[inference_pb2.Polygon(points=_points(polygon)) for polygon in found.polygons],
        keypoints=[
            inference_pb2.Keypoint(point=inference_pb2.Point(x=point.x, y=point.y), confidence=point.confidence)
            for point in found.keypoints
        ],
    )
    if mask is not None:
        message.mask_rle.CopyFrom(inference_pb2.RunLengthMask(height=mask.height, width=mask.width, counts=mask.counts))
    if rotated is not None:
        message.rotated_box.CopyFrom(
            inference_pb2.RotatedBox(
                center=inference_pb2.Point(x=rotated.center_x, y=rotated.center_y),
                width=rotated.width,
                height=rotated.height,
                angle=rotated.angle,
                corners=_points(rotated.corners),
            )
        )
    return message


def _points(coordinates: Sequence[float]) -> list[inference_pb2.Point]:
    return [inference_pb2.Point(x=x, y=y) for x, y in zip(coordinates[::2], coordinates[1::2], strict=True)]


def loaded_model_message(loaded: LoadedPredictor, framework: str) -> inference_pb2.LoadedModel:
    """Return a model in memory; its trainer's address is left to the gateway."""
    return inference_pb2.LoadedModel(
        framework=framework,
        model_name=loaded.model_name,
        checkpoint_id=loaded.source.checkpoint_id,
        job_id=loaded.source.job_id,
        memory_bytes=loaded.memory_bytes,
        last_used_time=to_timestamp(loaded.last_used),
        runtime=loaded.runtime,
    )
