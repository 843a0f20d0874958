"""Which run calls: the run tokens of agents, checked against the database."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass

import structlog

from rpc.errors import DomainError
from rpc.interceptors import AroundInterceptor, Context, bearer
from storage.database.engine import Database
from storage.database.run_tokens import RunTokenRepository

logger = structlog.get_logger()


@dataclass(frozen=True)
class AgentRun:
    """The one run that an agent may speak for."""

    run_id: str
    job_id: str


_agent_run: ContextVar[AgentRun] = ContextVar("agent_run")


def agent_run() -> AgentRun:
    """The run whose token the present call carries. Only inside a call that the interceptor let in."""
    return _agent_run.get()


class RunTokenInterceptor(AroundInterceptor):
    """Lets in calls that carry the token of a run; whatever else is known in the mesh opens nothing here.

    The token of a run that has ended is let in too: its agent may have missed that nothing is left to do.
    """

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    def around(self, method: str, context: Context) -> AbstractAsyncContextManager[None]:
        return _LetIn(self._database, bearer(context))


class _LetIn:
    """Makes the run of a token the one of what runs inside."""

    def __init__(self, database: Database, header: str | None) -> None:
        self._database = database
        self._header = header

    async def __aenter__(self) -> None:
        if not self._header:
            logger.warning("agent refused", reason="TOKEN_MISSING")
            raise DomainError("TOKEN_MISSING", "The token of a run is missing: `authorization: Bearer <run token>`.")
        scheme, _, token = self._header.partition(" ")
        run = None
        if scheme.lower() == "bearer":
            run = await self._database.read(lambda session: RunTokenRepository(session).run_of(token.strip()))
        if run is None:
            logger.warning("agent refused", reason="TOKEN_INVALID")
            raise DomainError("TOKEN_INVALID", "This is not the token of a run. The mesh token opens nothing here.")
        structlog.contextvars.bind_contextvars(run_id=run.id, job_id=run.job_id)
        # Each call runs in a task of its own, so the variable needs no reset.
        _agent_run.set(AgentRun(run.id, run.job_id))

    async def __aexit__(self, *raised: object) -> None:
        return None
