"""Users and their Bearer tokens."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.database.bearer_tokens import new_token, token_digest
from storage.database.errors import NameTaken
from storage.database.ids import new_id
from storage.database.statements import insert_new
from storage.database.tables import ApiToken, User


class UserRepository:
    """Queries about users, inside the transaction of ``session``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(self, name: str) -> User:
        """A new user. Raises NameTaken."""
        user = insert_new(self._session, User(id=new_id("user"), name=name))
        if user is None:
            raise NameTaken(name)
        return user

    def by_name(self, name: str) -> User | None:
        """The user of that name."""
        return self._session.scalar(select(User).where(User.name == name))

    def add_token(self, user_id: str, label: str = "") -> str:
        """Makes a token and returns it in clear, this once: only its SHA-256 is kept."""
        token = new_token("vm_")
        self._session.add(ApiToken(digest=token_digest(token), user_id=user_id, label=label))
        self._session.flush()
        return token

    def by_token(self, token: str) -> User | None:
        """The user whom the token in clear belongs to."""
        query = select(User).join(ApiToken, ApiToken.user_id == User.id).where(ApiToken.digest == token_digest(token))
        return self._session.scalar(query)
