"""What a new job is made of: settings from a preset and from the command line."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import typer
from google.protobuf.json_format import MessageToDict

from visionmesh.calls.registry import to_struct
from visionmesh.cli.registry import task_type
from visionmesh.cli.values import settings
from visionmesh.client import Client
from visionmesh.v1 import common_pb2, training_pb2


def create(
    client: Client,
    spec: training_pb2.TrainingJobSpec,
    *,
    task: str,
    preset: str,
    pairs: Sequence[str],
    check: bool,
) -> training_pb2.TrainingJob:
    """Create the job, or only check it. Settings given as ``pairs`` win over those of the preset."""
    spec.task_type = task_type(task)
    config: dict[str, Any] = {}
    given = settings(pairs)
    if preset:
        config = preset_config(client, spec.framework, spec.task_type, preset)
    config.update(given)
    if config:
        spec.advanced_config.CopyFrom(to_struct(config))
    return client.create_job(spec, request_id="" if check else uuid.uuid4().hex, validate_only=check)


def preset_config(client: Client, framework: str, task: common_pb2.TaskType, name: str) -> dict[str, Any]:
    """The configuration of a preset. Raises ``typer.BadParameter`` naming those there are."""
    presets = {preset.name: preset for preset in client.schema(framework, task).presets}
    if name not in presets:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(presets)}", param_hint="--preset")
    config: dict[str, Any] = MessageToDict(presets[name].config)
    return config
