"""The objects of a run: what its agent, which has no key of the object store, is let do with which."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.orm import Session

from gateway.training.origins import Origin, origin_of
from rpc.errors import DomainError
from storage.database.engine import Database
from storage.database.projections import CheckpointRepository
from storage.database.tables import Run, TrainingJob
from storage.objects import keys
from storage.objects.errors import InvalidKey, PresigningUnsupported
from storage.objects.signing import READING, ObjectCall
from storage.objects.store import ObjectStore

# Enough to begin a call, also on a busy machine; what has begun may take longer.
URL_SECONDS = 15 * 60

logger = structlog.get_logger()


@dataclass(frozen=True)
class RunScope:
    """What of the store is a run's: ``documents`` by key, ``readable`` and ``writable`` by prefix, but below the latter
    nothing of a checkpoint in ``recorded``."""

    documents: Collection[str]
    readable: tuple[str, ...]
    writable: tuple[str, ...]
    recorded: Collection[str]

    def objection(self, call: ObjectCall) -> str:
        """Why a call is none of the run's business, as a whole sentence; empty: it is."""
        if call.method in READING:
            readable = call.key in self.documents or call.key.startswith(self.readable)
            return "" if readable else "The run does not read this object."
        place = keys.checkpoint_object(call.key) if call.key.startswith(self.writable) else None
        if place is None:
            return "The run does not write this object; it writes checkpoints of its job."
        if place.checkpoint_id in self.recorded:
            return "The checkpoint is recorded, and stays as it is."
        return ""


class RunObjects:
    """Signs what agents do in the object store, each in the scope of its run and as long as that goes on."""

    def __init__(self, database: Database, store: ObjectStore) -> None:
        self._database = database
        self._store = store

    async def sign(self, run_id: str, calls: Sequence[ObjectCall]) -> list[str | DomainError]:
        """The URL of each call, or OBJECT_NOT_ALLOWED.

        Raises RUN_NOT_ALLOWED when the run is over, PRESIGNED_UPLOADS_UNSUPPORTED, StoreUnavailable.
        """
        scope = await self._database.read(lambda session: _scope(session, run_id, calls))
        return await asyncio.to_thread(lambda: [self._sign(scope, call) for call in calls])

    def _sign(self, scope: RunScope, call: ObjectCall) -> str | DomainError:
        if why := scope.objection(call) or call.objection():
            return _refusal(call, why)
        try:
            return self._store.presign(call, URL_SECONDS)
        except InvalidKey as error:
            return _refusal(call, f"The {error}.")
        except PresigningUnsupported as error:
            raise DomainError(
                "PRESIGNED_UPLOADS_UNSUPPORTED",
                "The object store of this gateway is a folder, which takes no signed calls. Gateway and trainer must "
                "name the same object store.",
            ) from error


def _refusal(call: ObjectCall, why: str) -> DomainError:
    logger.warning("agent refused", reason="OBJECT_NOT_ALLOWED", method=call.method.value, key=call.key, why=why)
    return DomainError("OBJECT_NOT_ALLOWED", why, metadata={"key": call.key, "method": call.method.value})


def _scope(session: Session, run_id: str, calls: Sequence[ObjectCall]) -> RunScope:
    run = session.get(Run, run_id)
    job = session.get(TrainingJob, run.job_id) if run is not None else None
    if run is None or job is None or run.end_kind or job.current_run_id != run_id:
        raise DomainError(
            "RUN_NOT_ALLOWED", "The run is over, and its token opens no objects any more.", metadata={"run_id": run_id}
        )
    own = keys.job_prefixes(job.project_id, job.id)
    readable = (keys.dataset_prefix(job.dataset_id), *_origin_prefixes(session, run), *own)
    places = [keys.checkpoint_object(call.key) for call in calls if call.method not in READING]
    written = {place.checkpoint_id for place in places if place is not None}
    recorded = CheckpointRepository(session).recorded(written) if written else ()
    documents = (keys.manifest(job.dataset_id), keys.dataset_annotations(job.dataset_id))
    return RunScope(documents, readable, own, recorded)


def _origin_prefixes(session: Session, run: Run) -> tuple[str, ...]:
    """Where the checkpoint lies that the run begins with; nothing where it was deleted meanwhile."""
    try:
        origin = origin_of(session, run)
    except DomainError:
        origin = Origin()
    return (f"{origin.checkpoint.storage_path.rstrip('/')}/",) if origin.checkpoint is not None else ()
