"""Where things lie in the store. Keys are made here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from storage.objects.digest import sha256_bytes

CHECKPOINTS = "checkpoints/"
INCOMING = "incoming/"
VALIDATION_IMAGES = "validation_images/"
# Below these lies everything of ours; beside them, a bucket may hold what it likes.
OWN_PREFIXES = ("annotations/", CHECKPOINTS, "datasets/", INCOMING, "manifests/", VALIDATION_IMAGES)

_IMAGES_SUFFIX = ".jsonl.gz"
_MAX_PART_CHARACTERS = 200
_KEPT_CHARACTERS = 100


def dataset_prefix(dataset_id: str) -> str:
    """Prefix of a dataset's files."""
    return f"datasets/{_part(dataset_id)}/"


def dataset_file(dataset_id: str, path: str) -> str:
    """Key of a dataset's file; ``path`` has been through ``paths.normalize``."""
    return dataset_prefix(dataset_id) + path


def manifest(dataset_id: str) -> str:
    """Key of a dataset's manifest."""
    return f"manifests/{_part(dataset_id)}.json"


def dataset_annotations(dataset_id: str) -> str:
    """Key of a dataset's annotations."""
    return f"annotations/{_part(dataset_id)}.jsonl.gz"


def incoming_prefix(dataset_id: str) -> str:
    """Prefix of what clients sent for a dataset past the gateway, and nobody verified yet."""
    return f"{INCOMING}{_part(dataset_id)}/"


def incoming_file(dataset_id: str, sha256: str) -> str:
    """Key under which bytes of this SHA-256 are sent for a dataset past the gateway."""
    return incoming_prefix(dataset_id) + sha256


def checkpoint_prefix(project_id: str, job_id: str, checkpoint_id: str) -> str:
    """Prefix of a checkpoint's files. Project ids are clients' free text; each becomes one part of its own."""
    return f"{CHECKPOINTS}{_part(project_id)}/{_part(job_id)}/{_part(checkpoint_id)}/"


def validation_images(project_id: str, job_id: str, checkpoint_id: str) -> str:
    """Key of what the model of a checkpoint said of each validation image."""
    return f"{VALIDATION_IMAGES}{_part(project_id)}/{_part(job_id)}/{_part(checkpoint_id)}{_IMAGES_SUFFIX}"


def job_prefixes(project_id: str, job_id: str) -> tuple[str, str]:
    """Prefixes of all that came of a job: its checkpoints, and what their models said of validation images."""
    place = f"{_part(project_id)}/{_part(job_id)}/"
    return f"{CHECKPOINTS}{place}", f"{VALIDATION_IMAGES}{place}"


@dataclass(frozen=True)
class CheckpointObject:
    """What belongs to a checkpoint: ``name`` is the prefix of its files, or the key of its validation images."""

    name: str
    job_id: str
    checkpoint_id: str


def checkpoint_object(key: str) -> CheckpointObject | None:
    """What an object below CHECKPOINTS or VALIDATION_IMAGES belongs to; None when it cannot be one of ours."""
    match key.split("/"):
        case ["checkpoints", project, job_id, checkpoint_id, _]:
            return CheckpointObject(f"{CHECKPOINTS}{project}/{job_id}/{checkpoint_id}/", job_id, checkpoint_id)
        case ["validation_images", _, job_id, file] if file.endswith(_IMAGES_SUFFIX):
            return CheckpointObject(key, job_id, file.removesuffix(_IMAGES_SUFFIX))
    return None


def _part(text: str) -> str:
    """Percent-encode text as one key part, at most 200 characters; ids made by the server stay as they are.

    Different texts give different parts. Raises ValueError when the text is empty or not Unicode.
    """
    if not text:
        raise ValueError("an empty id cannot be part of an object key")
    # ``quote`` lets ~ pass; encoded, it can mark the shortened parts, which then equal no other text's part.
    encoded = quote(text, safe="").replace("~", "%7E")
    if not encoded.strip("."):
        encoded = encoded.replace(".", "%2E")
    if len(encoded) > _MAX_PART_CHARACTERS:
        return f"{encoded[:_KEPT_CHARACTERS]}~{sha256_bytes(text.encode())}"
    return encoded
