"""Which checkpoints of a job are kept, and which go."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import and_, delete, or_, select, update
from sqlalchemy.orm import Session

from storage.database.statements import portions
from storage.database.tables import Checkpoint

_UNSEEN = {"synchronize_session": False}


class RetentionRepository:
    """Queries about what is kept of checkpoints, inside the transaction of ``session``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def lock_discarded(
        self, last: Checkpoint, kept_ids: Collection[str], *, every_n_epochs: int, keep_last: int
    ) -> list[str]:
        """The checkpoints of the job of ``last`` that are not kept, locked until the transaction ends.

        Kept are ``kept_ids``, those left behind, the ``keep_last`` newest of the training that ``last`` is the end of,
        and those of every n-th epoch of it (0: none). Nothing else is of an epoch that was trained again, nor of epochs
        after that of ``last``, which an earlier attempt told.
        """
        job_id, epoch = last.job_id, last.epoch
        before = Checkpoint.job_id == job_id, Checkpoint.epoch < epoch, Checkpoint.superseded.is_(False)
        newest = select(Checkpoint.id).where(*before).order_by(Checkpoint.epoch.desc(), Checkpoint.create_time.desc())
        kept = {last.id, *kept_ids, *self._session.scalars(newest.limit(keep_last - 1))}
        query = select(Checkpoint.id).where(
            Checkpoint.job_id == job_id, Checkpoint.left_behind.is_(False), Checkpoint.id.not_in(kept)
        )
        if every_n_epochs:
            counts_no_more = or_(Checkpoint.epoch >= epoch, Checkpoint.superseded)
            query = query.where(or_(counts_no_more, Checkpoint.epoch % every_n_epochs != 0))
        # Always in the same order: two transactions that lock some of the same do not wait for each other for ever.
        return [*self._session.scalars(query.order_by(Checkpoint.id).with_for_update())]

    def lock_all(self, job_id: str) -> list[str]:
        """All checkpoints of a job, locked until the transaction ends."""
        query = select(Checkpoint.id).where(Checkpoint.job_id == job_id)
        return [*self._session.scalars(query.order_by(Checkpoint.id).with_for_update())]

    def hold(self, job_id: str, checkpoint_ids: Collection[str]) -> None:
        """Marks these, and no others of the job, as held."""
        here = Checkpoint.id.in_(checkpoint_ids)
        wrong = or_(and_(here, Checkpoint.held.is_(False)), and_(~here, Checkpoint.held.is_(True)))
        statement = update(Checkpoint).where(Checkpoint.job_id == job_id, wrong).values(held=here)
        self._session.execute(statement, execution_options=_UNSEEN)

    def held_jobs(self) -> list[str]:
        """The jobs that have held checkpoints."""
        query = select(Checkpoint.job_id).where(Checkpoint.held.is_(True)).distinct()
        return [*self._session.scalars(query.order_by(Checkpoint.job_id))]

    def delete(self, checkpoint_ids: Sequence[str]) -> list[str]:
        """Deletes the records; returns where validation images of these lie."""
        images = []
        for some in portions(checkpoint_ids):
            those = Checkpoint.id.in_(some)
            found = self._session.scalars(
                select(Checkpoint.validation_images).where(those, Checkpoint.validation_images.is_not(None))
            )
            images += [stored["storage_path"] for stored in found if stored is not None]
            self._session.execute(delete(Checkpoint).where(those), execution_options=_UNSEEN)
        return images

    def leave_behind(self, left_ids: Collection[str], counting_ids: Collection[str]) -> None:
        """Keeps ``left_ids`` for as long as their job is there, and ``counting_ids`` only as long as they count."""
        for ids, left_behind in ((left_ids, True), (counting_ids, False)):
            for some in portions([*ids]):
                statement = update(Checkpoint).where(Checkpoint.id.in_(some)).values(left_behind=left_behind)
                self._session.execute(statement, execution_options=_UNSEEN)

    def recorded(self, checkpoint_ids: Sequence[str]) -> dict[str, bool]:
        """Those of these checkpoints that are recorded, and whether their validation images are."""
        found: dict[str, bool] = {}
        for some in portions(checkpoint_ids):
            query = select(Checkpoint.id, Checkpoint.validation_images.is_not(None)).where(Checkpoint.id.in_(some))
            found.update((checkpoint_id, bool(images)) for checkpoint_id, images in self._session.execute(query))
        return found
