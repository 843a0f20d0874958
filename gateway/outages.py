"""What the gateway stands on and cannot reach, as callers are told of it."""

from __future__ import annotations

from rpc.errors import DomainError
from storage.database.errors import DatabaseUnavailable
from storage.objects.errors import StoreUnavailable

RETRY_SECONDS = 5.0


def explain(error: Exception) -> DomainError | None:
    """The error for callers when ``error`` is an outage of database or object store, else None.

    Where these are, and what they said, is for the log alone.
    """
    if isinstance(error, DatabaseUnavailable):
        said = "The database cannot be used now; nothing was changed. Try again in a moment."
        return DomainError("DATABASE_UNAVAILABLE", said, retry_seconds=RETRY_SECONDS)
    if isinstance(error, StoreUnavailable):
        said = "The object store cannot be used now. Try again in a moment; the gateway's log says what is wrong."
        return DomainError("OBJECT_STORE_UNAVAILABLE", said, retry_seconds=RETRY_SECONDS)
    return None
