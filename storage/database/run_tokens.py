"""Tokens by which the agents of runs say who they are."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.database.bearer_tokens import new_token, token_digest
from storage.database.tables import Run, RunToken


class RunTokenRepository:
    """Queries about the tokens of runs, inside the transaction of ``session``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, run_id: str) -> str:
        """Makes one more token of a run and returns it in clear, this once.

        Those made before stay good: which of them reached the trainer, a gateway that died does not tell the next one.
        Raises IntegrityError when there is no such run.
        """
        token = new_token("vmrun_")
        self._session.add(RunToken(digest=token_digest(token), run_id=run_id))
        self._session.flush()
        return token

    def run_of(self, token: str) -> Run | None:
        """The run that a token in clear belongs to, also when it has ended."""
        query = select(Run).join(RunToken, RunToken.run_id == Run.id).where(RunToken.digest == token_digest(token))
        return self._session.scalar(query)
