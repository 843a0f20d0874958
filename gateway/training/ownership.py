"""Whose job it is: someone else's is not there."""

from __future__ import annotations

from gateway.access import Caller
from gateway.events.log import JobTransaction, job_not_found
from storage.database.tables import TrainingJob


def owned(transaction: JobTransaction, caller: Caller) -> TrainingJob:
    """The job of a transaction, if it is the caller's. Raises JOB_NOT_FOUND."""
    if transaction.job.user_id != caller.user_id:
        raise job_not_found(transaction.job.id)
    return transaction.job
