"""What an analysis found, written into the records of its dataset: all of it or nothing."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from annotations.problems import Problem
from gateway.datasets.arrivals import arrivals_failure
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


def record_failed(session: Session, dataset_id: str, outcome: Outcome, analyzed_files: int) -> None:
    """Make the dataset FAILED. Raises StateChanged when it is no longer ANALYZING."""
    datasets = DatasetRepository(session)
    datasets.replace_problems(dataset_id, [_row(problem) for problem in outcome.problems])
    failure = outcome.failure()
    changed = datasets.change_state(
        dataset_id,
        ("ANALYZING",),
        "FAILED",
        format=outcome.format,
        format_detected_from=_text(outcome.evidence, MAX_EVIDENCE),
        failure={**failure, "message": _text(str(failure["message"]), MAX_MESSAGE)},
        analyzed_files=analyzed_files,
    )
    if changed is None:
        raise StateChanged("")


def record_missing(session: Session, dataset_id: str, problems: Sequence[Problem]) -> None:
    """Make the dataset FAILED for uploads that did not arrive. Raises StateChanged when it is no longer ANALYZING."""
    datasets = DatasetRepository(session)
    datasets.replace_problems(dataset_id, [_row(problem) for problem in problems])
    failure = arrivals_failure(problems)
    failure = {**failure, "message": _text(str(failure["message"]), MAX_MESSAGE)}
    if datasets.change_state(dataset_id, ("ANALYZING",), "FAILED", failure=failure, analyzed_files=0) is None:
        raise StateChanged("")


def record_given_up(session: Session, dataset_id: str) -> None:
    """Make the dataset FAILED by a fault of ours. Raises StateChanged when it is no longer ANALYZING."""
    message = "The analysis failed inside VisionMesh; its log tells more under this dataset's id. Finalise again."
    failure = {"reason": "INTERNAL", "message": message, "metadata": {"dataset_id": dataset_id}}
    datasets = DatasetRepository(session)
    datasets.replace_problems(dataset_id, ())
    if datasets.change_state(dataset_id, ("ANALYZING",), "FAILED", failure=failure, analyzed_files=0) is None:
        raise StateChanged("")


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
