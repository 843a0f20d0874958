"""What the pages say in tables is what the code has, and what they point to exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from gateway.settings import GatewaySettings
from gateway.training.restarts import MENDED_BY_A_RESTART, NOT_MENDED_BY_A_RESTART
from rpc.errors import CODES
from tests.docs.shell import ROOT
from trainer.settings import TrainerSettings
from visionmesh.v1 import common_pb2, event_pb2

PAGES = sorted(
    Path(line)
    for line in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()
)  # fmt: skip
REASONS = {name.removeprefix("ERROR_REASON_") for name in common_pb2.ErrorReason.DESCRIPTOR.values_by_name} - {
    "UNSPECIFIED"
}


def rows(page: str, under: str = "") -> list[list[str]]:
    """The cells of a page's tables below the heading ``under``, heads left out."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if under:
        _, found, text = text.partition(f"## {under}")
        assert found, under
        text = text.partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    # The first cell of a row is code; that of a head is not.
    return [row for row in cells if row[0].startswith("`")]


def test_every_reason_stands_in_the_page_with_its_code() -> None:
    told = rows("docs/errors.md")
    names = [row[0].strip("`") for row in told]
    assert sorted(names) == sorted(REASONS)
    assert {row[0].strip("`"): row[1] for row in told if len(row) == 4} == {
        reason: code.name for reason, code in CODES.items()
    }


def test_every_reason_of_a_failed_attempt_stands_in_the_page_of_restarts() -> None:
    told = [(row[0].strip("`"), row[1], row[2]) for row in rows("docs/restarts.md", "Which failures")]
    assert told == [(reason, "yes", why) for reason, why in MENDED_BY_A_RESTART.items()] + [
        (reason, "no", why) for reason, why in NOT_MENDED_BY_A_RESTART.items()
    ]
    # What stands in failures alone is decided about, but for those of datasets and of runs that no job has any more.
    assert REASONS - set(CODES) - {"IMPORT_FAILED", "SUPERSEDED"} <= {reason for reason, _, _ in told}
    assert {reason for reason, _, _ in told} <= REASONS


def test_reasons_without_a_code_are_those_of_failures() -> None:
    assert set(CODES) < REASONS


@pytest.mark.parametrize(
    ("settings", "headings"),
    [
        (GatewaySettings, ["Gateway", "S3 and R2"]),
        (TrainerSettings, ["Trainer servers", "S3 and R2"]),
    ],
)
def test_every_setting_stands_in_the_page_with_its_default(settings: type[BaseSettings], headings: list[str]) -> None:
    told = {row[0].strip("`"): row[1:] for heading in headings for row in rows("docs/settings.md", heading)}
    known = {}
    for name, field in settings.model_fields.items():
        default = field.default
        if field.is_required():
            shown = "required"
        elif default is None:
            shown = "`unset`"
        elif default == ():
            shown = "`[]`"
        else:
            shown = f"`{str(default).lower() if isinstance(default, bool) else default}`"
        known[f"VISIONMESH_{name.upper()}"] = [shown, field.description]
    assert told == known


def test_every_kind_of_event_stands_in_the_page() -> None:
    told = [row[0].strip("`") for row in rows("docs/events.md")]
    assert told == [name for name in event_pb2.EventKind.DESCRIPTOR.values_by_name if not name.endswith("UNSPECIFIED")]
    payloads = {name for row in rows("docs/events.md") for name in re.findall(r"`(\w+)`", row[1])}
    assert payloads == {field.name for field in event_pb2.JobEvent.DESCRIPTOR.oneofs_by_name["payload"].fields}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_what_a_page_points_to_exists(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    assert [target for target in targets if target and not (ROOT / page).parent.joinpath(target).exists()] == []


def test_every_kind_of_problem_stands_in_the_page_of_datasets() -> None:
    told = {row[0].strip("`") for row in rows("docs/datasets.md") if row[1].split()[0] in ("ERROR", "WARNING")}
    code = "".join(
        path.read_text() for room in ("annotations", "gateway/datasets") for path in (ROOT / room).rglob("*.py")
    )
    assert set(re.findall(r'"([a-z_]+)",\s*(?:ERROR|WARNING)\b', code)) <= told
    assert [kind for kind in told if f'"{kind}"' not in code] == []
