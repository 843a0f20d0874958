"""Who calls: Bearer tokens of the public services, checked against the database."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from rpc.errors import DomainError
from rpc.interceptors import AroundInterceptor, Context, bearer
from storage.database.engine import Database
from storage.database.users import UserRepository


@dataclass(frozen=True)
class Caller:
    """The user a call acts for."""

    user_id: str
    name: str


_caller: ContextVar[Caller] = ContextVar("caller")


def caller() -> Caller:
    """The user of the present call. Only inside a call that the auth interceptor let in."""
    return _caller.get()


@contextmanager
def acting_as(user: Caller) -> Iterator[None]:
    """Make ``user`` the caller of what runs inside."""
    token = _caller.set(user)
    try:
        yield
    finally:
        _caller.reset(token)


class AuthInterceptor(AroundInterceptor):
    """Lets in calls with a known Bearer token and makes its user the caller. Anything not known is refused.

    A token that was found is remembered for ``remember_seconds``, so that a busy client costs no query a call.
    """

    def __init__(self, database: Database, remember_seconds: float = 10.0) -> None:
        super().__init__()
        self._database = database
        self._remember_seconds = remember_seconds
        self._known: dict[bytes, tuple[Caller, float]] = {}

    def around(self, method: str, context: Context) -> AbstractAsyncContextManager[None]:
        return _LetIn(self._authenticate, bearer(context))

    async def _authenticate(self, header: str | None) -> Caller:
        if not header:
            raise DomainError(
                "TOKEN_MISSING", "Send your token as metadata: `authorization: Bearer <token>`. None was sent."
            )
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise DomainError("TOKEN_INVALID", "The `authorization` metadata must read `Bearer <token>`.")
        digest = hashlib.sha256(token.encode()).digest()
        found, expires = self._known.get(digest, (None, 0.0))
        if found is not None and time.monotonic() < expires:
            return found
        user = await self._database.read(lambda session: UserRepository(session).by_token(token))
        if user is None:
            self._known.pop(digest, None)
            raise DomainError("TOKEN_INVALID", "This token is not known. Look for a newer one in the token file.")
        known = Caller(user.id, user.name)
        self._known[digest] = (known, time.monotonic() + self._remember_seconds)
        return known


class _LetIn:
    """Makes the owner of a token the caller of what runs inside."""

    __slots__ = ("_authenticate", "_header")

    def __init__(self, authenticate: Callable[[str | None], Awaitable[Caller]], header: str | None) -> None:
        self._authenticate = authenticate
        self._header = header

    async def __aenter__(self) -> None:
        # Each call runs in a task of its own, so the variable needs no reset.
        _caller.set(await self._authenticate(self._header))

    async def __aexit__(self, *raised: object) -> None:
        return None
