"""The records that make calls with a request_id repeatable."""

from __future__ import annotations

from sqlalchemy import delete
from sqlalchemy.orm import Session

from storage.database.errors import RequestExists
from storage.database.statements import insert_new
from storage.database.tables import RequestRecord


class RequestRepository:
    """Queries about request records, inside the transaction of ``session``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def find(self, user_id: str, method: str, request_id: str) -> RequestRecord | None:
        """What was answered to that user's request."""
        return self._session.get(RequestRecord, (user_id, method, request_id))

    def forget(self, user_id: str, method: str) -> None:
        """Forgets what was answered to that user's requests of a method."""
        those = RequestRecord.user_id == user_id, RequestRecord.method == method
        self._session.execute(delete(RequestRecord).where(*those))

    def add(self, record: RequestRecord) -> RequestRecord:
        """Records an answer, in the transaction that made it.

        Raises RequestExists when the same call was answered meanwhile; let it roll the transaction back.
        """
        stored = insert_new(self._session, record)
        if stored is None:
            raise RequestExists(record.request_id)
        return stored
