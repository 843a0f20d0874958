"""The refusals that several parts of this room share."""

from __future__ import annotations

from rpc.errors import DomainError


def dataset_not_found(dataset_id: str) -> DomainError:
    """No such dataset, or it is someone else's: a caller cannot tell which."""
    return DomainError(
        "DATASET_NOT_FOUND",
        f"There is no dataset {dataset_id!r} that you may see. ListDatasets gives those you can use.",
        metadata={"dataset_id": dataset_id},
    )


def not_the_owner(dataset_id: str) -> DomainError:
    """The caller may see the dataset and not change it."""
    return DomainError(
        "DATASET_NOT_FOUND",
        f"You do not own the dataset {dataset_id!r}: only its owner may change or delete it.",
        metadata={"dataset_id": dataset_id},
    )


def dataset_not_ready(dataset_id: str, state: str) -> DomainError:
    """What was asked takes a dataset whose analysis has ended well."""
    return DomainError(
        "DATASET_NOT_READY",
        f"The dataset {dataset_id!r} is {state}; this takes one that is READY. WatchDataset follows its analysis.",
        metadata={"dataset_id": dataset_id, "state": state},
    )


def file_not_found(dataset_id: str, path: str) -> DomainError:
    """The dataset has no such file."""
    return DomainError(
        "FILE_NOT_FOUND",
        f"The dataset {dataset_id!r} has no file {path!r}. ListDatasetFiles lists those it has.",
        metadata={"dataset_id": dataset_id, "path": path},
    )


def storage_corrupt(dataset_id: str, what: str, why: str) -> DomainError:
    """An object of the dataset is lost or damaged; ``what`` names it for people, ``why`` completes the sentence."""
    return DomainError(
        "STORAGE_CORRUPT",
        f"{what} of the dataset {dataset_id!r} {why}. Restore the object store from a copy.",
        metadata={"dataset_id": dataset_id, "object": what},
    )


def invalid_transition(dataset_id: str, from_state: str, to_state: str, advice: str) -> DomainError:
    """The dataset's state does not allow what was asked; ``advice`` says what would help."""
    return DomainError(
        "INVALID_STATE_TRANSITION",
        f"The dataset {dataset_id!r} is {from_state}. {advice}",
        metadata={"dataset_id": dataset_id, "from": from_state, "to": to_state},
    )


def file_mismatch(path: str, what: str, expected: str, received: str, story: str) -> DomainError:
    """Bytes differ from their announcement: ``what`` is ``size_bytes`` or ``sha256``."""
    return DomainError(
        "FILE_MISMATCH",
        f"File {path!r}: {story} (expected {what} {expected}, received {received}).",
        metadata={"path": path, "what": what, "expected": expected, "received": received},
    )


def file_exists(path: str) -> DomainError:
    """The path is taken."""
    return DomainError(
        "FILE_EXISTS",
        f"The dataset already holds {path!r}, or another stream is sending it. ListDatasetFiles says what arrived: "
        "send only the rest.",
        metadata={"path": path},
    )


def upload_elsewhere(dataset_id: str) -> DomainError:
    """Files of the dataset arrive at another gateway: two that write the same objects would spoil them."""
    return DomainError(
        "UPLOAD_ELSEWHERE",
        f"Another gateway receives files of the dataset {dataset_id!r} now. Send these there too, or try again when "
        "its streams have ended.",
        metadata={"dataset_id": dataset_id},
        retry_seconds=1.0,
    )


def bad_archive(path: str, why: str, *, entry: str = "", limit: str = "") -> DomainError:
    """The archive ``path`` cannot be unpacked; ``entry`` and ``limit`` are empty where none is concerned."""
    allowed = f" The limit is {limit}." if limit else ""
    return DomainError(
        "BAD_ARCHIVE",
        f"The archive {path!r} cannot be unpacked. {why}{allowed}",
        metadata={"path": path, **({"entry": entry} if entry else {}), **({"limit": limit} if limit else {})},
    )
