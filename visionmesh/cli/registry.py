"""``frameworks``, ``models`` and ``schema``: what can be trained."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict

from visionmesh.cli.command import command
from visionmesh.cli.session import Session
from visionmesh.cli.tables import print_table
from visionmesh.cli.values import count_text, enum_choices, enum_text, enum_value
from visionmesh.v1 import common_pb2, registry_pb2

TASK = "TASK_TYPE_"
TASKS_HELP = "Task: " + ", ".join(enum_choices(common_pb2.TaskType, TASK)) + "."
TaskOption = Annotated[str, typer.Option("--task", metavar="TASK", help=TASKS_HELP)]


def task_type(text: str) -> common_pb2.TaskType:
    """The task that ``--task`` names; unspecified when it is not given."""
    return enum_value(common_pb2.TaskType, TASK, text, "--task") if text else common_pb2.TASK_TYPE_UNSPECIFIED


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    command(app, "frameworks", examples="visionmesh frameworks\nvisionmesh frameworks --json")(frameworks)
    command(
        app,
        "models",
        examples="visionmesh models --framework timm --text resnet --limit 20\nvisionmesh models --pretrained --json",
    )(models)
    command(app, "schema", examples="visionmesh schema timm\nvisionmesh schema timm --json")(schema)


def frameworks(session: Session) -> None:
    """List the frameworks of the mesh, with free slots and what is out of reach."""
    with session.client() as client:
        answer = client.frameworks()
    if session.json:
        session.print_json(answer)
        return
    print_table(
        session.out,
        ["framework", "tasks", "trainers#", "free slots#", "versions", "state"],
        (
            (
                item.framework,
                ", ".join(enum_text(common_pb2.TaskType, TASK, task).lower() for task in item.task_types),
                item.healthy_trainers,
                item.free_slots,
                ", ".join(f"{name} {version}" for name, version in sorted(item.versions.items())),
                item.unavailable_reason or "ready",
            )
            for item in answer.frameworks
        ),
        empty="no framework is configured",
    )
    warn(session, answer.problems)


def models(
    session: Session,
    framework: Annotated[str, typer.Option("--framework", help="Only models of this framework.")] = "",
    task: TaskOption = "",
    text: Annotated[str, typer.Option("--text", help="Only models whose name contains this.")] = "",
    pretrained: Annotated[
        bool | None, typer.Option("--pretrained/--not-pretrained", help="Only models with (without) published weights.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="At most this many; 0: all.")] = 0,
) -> None:
    """List the models that can be trained."""
    problems: list[common_pb2.FrameworkProblem] = []
    with session.client() as client:
        every = client.models(
            framework=framework,
            task_type=task_type(task),
            text=text,
            pretrained=pretrained,
            on_problems=problems.extend,
        )
        found = list(islice(every, limit or None))
    if session.json:
        session.print_json({"models": found, "problems": problems})
        return
    print_table(
        session.out,
        ["model", "framework", "parameters#", "image size#", "pretrained", "license"],
        (
            (
                item.model_name,
                item.framework,
                count_text(item.parameters),
                item.default_image_size,
                ", ".join(item.pretrained_tags) or "-",
                item.license or "-",
            )
            for item in found
        ),
        empty="no model matches",
    )
    warn(session, problems)


def schema(
    session: Session,
    framework: Annotated[str, typer.Argument(help="Framework, for example timm.")],
    task: TaskOption = "",
) -> None:
    """Show the settings and presets of a framework, as `jobs create --set` takes them."""
    with session.client() as client:
        answer = client.schema(framework, task_type(task))
    if session.json:
        session.print_json(answer)
        return
    print_table(
        session.out,
        ["setting", "default", "allowed", "what it does"],
        ((item.name, _value(item), _allowed(item), _describe(item)) for item in answer.fields),
        empty="no settings",
    )
    print_table(
        session.out,
        ["preset", "when"],
        ((item.name, item.description) for item in answer.presets),
        empty="no presets",
    )


def warn(session: Session, problems: Sequence[common_pb2.FrameworkProblem]) -> None:
    """Say on stderr what is out of reach."""
    for problem in problems:
        session.notes.print(f"warning: {problem.framework or 'a trainer'} at {problem.address}: {problem.message}")


def _value(field: registry_pb2.ConfigField) -> str:
    value = MessageToDict(field.default_value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _allowed(field: registry_pb2.ConfigField) -> str:
    if field.options:
        return ", ".join(option.value for option in field.options)
    kind = enum_text(registry_pb2.ConfigFieldType, "CONFIG_FIELD_TYPE_", field.type).lower()
    if field.HasField("minimum") and field.HasField("maximum"):
        return f"{kind}, {field.minimum:g} to {field.maximum:g}"
    if field.HasField("minimum"):
        return f"{kind}, at least {field.minimum:g}"
    return f"{kind}, at most {field.maximum:g}" if field.HasField("maximum") else kind


def _describe(field: registry_pb2.ConfigField) -> str:
    if not field.HasField("condition"):
        return field.description
    values = " or ".join(str(MessageToDict(value)) for value in field.condition.values)
    return f"{field.description} (with {field.condition.field}={values})"
