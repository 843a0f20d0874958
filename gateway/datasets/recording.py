"""What an analysis found, written into the records of its dataset: all of it or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from annotations.problems import Problem
from gateway.datasets.concluding import Concluded
from gateway.datasets.outcome import Outcome
from storage.database.datasets import DatasetRepository
from storage.database.errors import StateChanged
from storage.database.tables import DatasetProblem

MAX_PATH = 1024
MAX_MESSAGE = 4000
MAX_EVIDENCE = 1000


def record_ready(session: Session, dataset_id: str, concluded: Concluded, analyzed_files: int) -> None:
    """Make the dataset READY. Raises StateChanged when it is no longer ANALYZING."""
    datasets, outcome = DatasetRepository(session), concluded.outcome
    datasets.assign_splits(dataset_id, {path: (place.split, place.label) for path, place in outcome.places.items()})
    datasets.replace_problems(dataset_id, [_row(problem) for problem in outcome.problems])
    changed = datasets.change_state(
        dataset_id,
        ("ANALYZING",),
        "READY",
        format=outcome.format,
        format_detected_from=_text(outcome.evidence, MAX_EVIDENCE),
        failure=None,
        class_names=list(outcome.class_names),
        class_distribution=outcome.distribution,
        object_count=outcome.object_count,
        statistics=dict(outcome.statistics),
        task_types=list(outcome.task_types),
        manifest_digest=concluded.manifest_digest,
        analyzed_files=analyzed_files,
    )
    if changed is None:
        raise StateChanged("")


def record_failed(
    session: Session,
    dataset_id: str,
    failure: Mapping[str, object],
    problems: Sequence[Problem],
    analyzed_files: int,
    **found: str,
) -> None:
    """Make the dataset FAILED; ``found`` are columns to set. Raises StateChanged when it is no longer ANALYZING."""
    datasets = DatasetRepository(session)
    datasets.replace_problems(dataset_id, [_row(problem) for problem in problems])
    told = {**failure, "message": _text(str(failure["message"]), MAX_MESSAGE)}
    changed = datasets.change_state(
        dataset_id, ("ANALYZING",), "FAILED", failure=told, analyzed_files=analyzed_files, **found
    )
    if changed is None:
        raise StateChanged("")


def record_not_trainable(session: Session, dataset_id: str, outcome: Outcome, analyzed_files: int) -> None:
    """Make the dataset FAILED by what its analysis found. Raises StateChanged when it is no longer ANALYZING."""
    found = {"format": outcome.format, "format_detected_from": _text(outcome.evidence, MAX_EVIDENCE)}
    record_failed(session, dataset_id, outcome.failure(), outcome.problems, analyzed_files, **found)


def record_given_up(session: Session, dataset_id: str) -> None:
    """Make the dataset FAILED by a fault of ours. Raises StateChanged when it is no longer ANALYZING."""
    message = "The analysis failed inside VisionMesh; its log tells more under this dataset's id. Finalise again."
    failure = {"reason": "INTERNAL", "message": message, "metadata": {"dataset_id": dataset_id}}
    record_failed(session, dataset_id, failure, (), 0)


def _row(problem: Problem) -> DatasetProblem:
    return DatasetProblem(
        path=_text(problem.path, MAX_PATH),
        kind=problem.kind,
        severity=problem.severity,
        message=_text(problem.message, MAX_MESSAGE),
    )


def _text(text: str, most: int) -> str:
    """Text out of someone's files as every database and protobuf take it: valid Unicode, no NUL, and not endless."""
    whole = text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    return whole if len(whole) <= most else whole[: most - 1] + "…"
